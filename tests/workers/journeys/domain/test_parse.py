"""What is not understood is refused with a sentence that names the condition."""

from __future__ import annotations

import json
from contextlib import suppress
from time import process_time
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeys.domain.criteria import dependencies
from journeys.domain.parse import CHARS_MAX, Catalog, NotUnderstood, parse

TAG = str(UUID(int=5))
CATALOG = Catalog(
    field_types={"size": "number", "born": "date", "tags": "multiselect"}, tags=frozenset([TAG])
)
DAY = {"n": 1, "unit": "day"}


def problem(document: str | None) -> str:
    with pytest.raises(NotUnderstood) as raised:
        parse(document, CATALOG)
    return str(raised.value)


def of_leaf(**leaf: Any) -> str:
    return problem(json.dumps({"operator": "and", "conditions": [leaf]}))


@pytest.mark.parametrize(
    ("leaf", "sentence"),
    [
        ({"field": "stage", "operator": "matches", "value": "x"}, "an operator that does not fit"),
        ({"field": "stage", "operator": "gt", "value": "x"}, "an operator that does not fit"),
        ({"field": "size", "operator": "contains", "value": "x"}, "an operator that does not fit"),
        ({"field": "tags", "operator": "contains", "value": "x"}, "an operator that does not fit"),
        ({"field": "size", "operator": "eq", "value": "ten"}, "a value that is not a number"),
        ({"field": "custom.a", "operator": "gt", "value": "١٠"}, "a value that is not a number"),
        ({"field": "stage", "operator": "in", "value": []}, "a list with at least one element"),
        ({"field": "stage", "operator": "in", "value": "a"}, "a list with at least one element"),
        ({"field": "stage", "operator": "eq", "value": ["a"]}, "a value that is not a text"),
        ({"field": "stage", "operator": "eq", "value": None}, "a value that is not a text"),
        ({"field": "stage", "operator": "neq", "value": ""}, "`is_set` and `is_not_set` ask"),
        ({"field": "stage", "operator": "eq", "value": "a\0"}, "a character that cannot be stored"),
        ({"field": "a\0", "operator": "is_set"}, "a character that cannot be stored"),
        ({"field": "a\ud800", "operator": "is_set"}, "a character that cannot be stored"),
        ({"field": "stage", "operator": "is_set", "value": "x"}, "may not have a value"),
        ({"field": "born", "operator": "eq", "value": "2026-02-29"}, "is not a time"),
        ({"field": "born", "operator": "gt", "value": "2026-03-01T25:00Z"}, "is not a time"),
        ({"field": "born", "operator": "gt", "value": "2026-03-01T10:00"}, "is not a time"),
        ({"field": "born", "operator": "gt", "value": "2026-03-01T10:00 Nowhere"}, "not a time"),
        ({"field": "born", "operator": "gt", "value": "0001-01-01"}, "is not a time"),
        ({"field": "born", "operator": "older_than", "value": 3}, "is not a duration"),
        (
            {"field": "born", "operator": "older_than", "value": {"n": 0, "unit": "day"}},
            "an `n` that is not a whole number",
        ),
        (
            {"field": "born", "operator": "older_than", "value": {"n": True, "unit": "day"}},
            "an `n` that is not a whole number",
        ),
        (
            {"field": "born", "operator": "older_than", "value": {"n": 1, "unit": "month"}},
            "a unit other than minute, hour, day, week",
        ),
        (
            {"field": "born", "operator": "older_than", "value": {"n": 10**9, "unit": "week"}},
            "longer than 36,525 days",
        ),
        ({"field": "tag", "operator": "eq", "value": str(UUID(int=6))}, "a tag that does not"),
        ({"field": "tag", "operator": "eq", "value": "vip"}, "a value that is not an id"),
        ({"field": "segment", "operator": "in", "value": [TAG]}, "a segment that does not exist"),
        ({"field": "segment", "operator": "is_set"}, "must name segments"),
        ({"field": "company.ceo", "operator": "is_set"}, "is not a field of companies"),
        ({"field": "custom.", "operator": "is_set"}, "names no custom field"),
        ({"field": "x" * 256, "operator": "is_set"}, "a field of more than 255 characters"),
        ({"field": ["a"], "operator": "is_set"}, "has no field"),
        ({"operator": "is_set"}, "has no field"),
        ({"field": "stage"}, "has no operator"),
        ({"field": "stage", "operator": "is_set", "extra": 1}, "may not have `extra`"),
        ({"event": "e", "operator": "is_set"}, "does not fit a number of events"),
        ({"event": "e", "operator": "gte", "value": "many"}, "a value that is not a number"),
        ({"event": "", "operator": "gte", "value": 1}, "a type and a source of events"),
        (
            {"event": "e", "operator": "gte", "value": 1, "last": {"n": 401, "unit": "day"}},
            "a `last` that is longer than 400 days",
        ),
        ({"event": "e", "field": "stage", "operator": "gte", "value": 1}, "may not have `field`"),
        ({"field": "size", "operator": "eq", "value": 10**200}, "has more than 100 digits"),
    ],
)
def test_a_leaf_is_refused_with_its_place(leaf: dict[str, Any], sentence: str) -> None:
    found = of_leaf(**leaf)
    assert found.startswith("Condition 1")
    assert sentence in found


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (None, "The segment has no criteria."),
        ("[]", "The criteria must be an object with `operator` and `conditions`."),
        ("null", "The criteria must be an object"),
        ('{"operator": "xor", "conditions": [1]}', "must have the operator `and` or `or`"),
        ('{"operator": "and", "conditions": []}', "must have at least one condition"),
        ('{"operator": "and", "conditions": [[]]}', "Condition 1 is not an object"),
        ('{"operator": "and", "conditions": [1], "not": 1}', "may not have `not`"),
        ('{"operator": "and", "conditions": [1], "negate": 1}', "true or false as `negate`"),
        ('{"operator": "and", "conditions": [NaN]}', "are not JSON"),
        ("{", "are not JSON"),
        ("[" * 150_000, "nested deeper than 5 levels"),
        ('{"a":' * 30_000, "nested deeper than 5 levels"),
        ('"' + "x" * CHARS_MAX + '"', "200,002 characters, at most 200,000 are allowed"),
    ],
)
def test_a_document_is_refused(document: str | None, sentence: str) -> None:
    assert sentence in problem(document)


def test_a_leaf_in_a_group_is_found_by_its_path() -> None:
    inner = {"operator": "or", "conditions": [{"field": "a", "operator": "is_set"}, {"field": 1}]}
    outer = {"operator": "and", "conditions": [inner, {"field": "stage", "operator": "x"}]}
    assert problem(json.dumps(outer)) == (
        "Condition 1.2 has no operator."
        " Condition 2 (stage x) has an operator that does not fit a field of the type text."
    )


def nested(depth: int) -> dict[str, Any]:
    node: dict[str, Any] = {"field": "stage", "operator": "is_set"}
    for _ in range(depth):
        node = {"operator": "and", "conditions": [node]}
    return node


def test_five_levels_and_a_hundred_leaves_are_the_limit() -> None:
    assert parse(json.dumps(nested(5)), CATALOG)
    assert "nested deeper" in problem(json.dumps(nested(6)))
    leaf = {"field": "stage", "operator": "is_set"}
    assert parse(json.dumps({"operator": "or", "conditions": [leaf] * 100}), CATALOG)
    many = json.dumps({"operator": "or", "conditions": [leaf] * 101})
    assert problem(many) == "The criteria have 101 conditions, at most 100 are allowed."


def test_many_problems_are_counted_and_a_megabyte_costs_nothing() -> None:
    many = json.dumps({"operator": "or", "conditions": [{}] * 9})
    assert problem(many).endswith("There are 6 more problems.")
    huge = json.dumps({"operator": "or", "conditions": [{"field": "a" * 1_000_000}]})
    before = process_time()
    problem(huge)
    assert process_time() - before < 0.1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
        | st.sampled_from(["and", "or", "stage", "eq", "in", "gte", TAG]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
            st.sampled_from(["operator", "conditions", "field", "event", "value", "last"]),
            inner, max_size=5,
        ),
    )
)  # fmt: skip
@settings(max_examples=300)
def test_any_document_is_understood_or_refused_in_sentences(document: object) -> None:
    with suppress(NotUnderstood):
        parse(json.dumps(document), CATALOG)


def test_what_criteria_read_is_what_triggers_must_note() -> None:
    criteria = parse(
        json.dumps({"operator": "and", "conditions": [
            {"field": "lastActivityAt", "operator": "older_than", "value": DAY},
            {"field": "it's a \"key\".x", "operator": "is_set"},
            {"field": "created_at", "operator": "gt", "value": "2026-03-01"},
            {"field": "lead_grade", "operator": "eq", "value": "A"},
            {"field": "tag", "operator": "eq", "value": TAG},
            {"field": "company.size", "operator": "eq", "value": "smb"},
            {"event": "demo", "operator": "gte", "value": 1},
        ]}),
        CATALOG,
    )  # fmt: skip
    assert dependencies(criteria) == {
        ("contact", "last_activity_at"), ("event", "*"), ("custom", "it's a \"key\".x"),
        ("contact", "created_at"), ("config", "time_zone"), ("score", ""), ("tag", ""),
        ("company", ""), ("event", "demo"),
    }  # fmt: skip
