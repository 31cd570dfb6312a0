"""Criteria documents, drawn with Hypothesis."""

from __future__ import annotations

import json
from typing import Any, get_args

from hypothesis import strategies as st

from journeys.domain.criteria import OPERATORS, TYPES_OF_CUSTOM, TYPES_OF_FIELDS, Type
from journeys.domain.parse import Catalog
from journeys.domain.values import is_moment
from tests.workers.journeys.segments.people import (
    COMPANIES,
    DAYS,
    KEYS,
    MOMENTS,
    SEGMENTS,
    SOURCES,
    TAGS,
    TEXTS,
    TYPES,
)

NEGATED = {"eq": "neq", "in": "not_in", "contains": "not_contains", "is_set": "is_not_set"}
# `born` and `n` have declared types; the others take theirs from the operator and the value.
DECLARED = {"born": "date", "n": "number"}
CATALOG = Catalog(field_types=DECLARED, tags=frozenset(TAGS), segments=frozenset(SEGMENTS))
texts = st.sampled_from([text for text in TEXTS if text])
VALUES: dict[str, Any] = {
    "text": texts,
    "texts": st.sampled_from([
        "Ab", "Acme", "acme", "O'Neil", "acme.example", "mid", "IT",
    ]),
    "number": st.sampled_from(["10", "9", "1.5", 1000, 80, 0, "1e3"]),
    "boolean": st.booleans(),
    "time": st.sampled_from([own for own in (*DAYS, *MOMENTS) if is_moment(own)]),
}  # fmt: skip
spans = st.fixed_dictionaries({
    "n": st.sampled_from([1, 3, 7, 30]), "unit": st.sampled_from(["minute", "hour", "day", "week"])
})  # fmt: skip


def values_of(name: str, type_: Type) -> Any:
    ids = {"tag": TAGS, "segment": SEGMENTS, "company_id": [company["id"] for company in COMPANIES]}
    if name in ids:
        return st.sampled_from(ids[name])
    if name == "email":
        return st.sampled_from(["ä@x.example", "A@x.Example", "@X"])
    return VALUES[type_]


def _operators(name: str, key: str, type_: Type) -> list[str]:
    """The operators of a field; a custom field without a declared type is a time by some alone."""
    not_fit = {"is_set"} if name == "segment" else set()
    if name not in TYPES_OF_FIELDS and key not in DECLARED and type_ == "time":
        not_fit |= {"eq", "in"}
    return [operator for operator in OPERATORS[type_] if operator not in not_fit]


@st.composite
def field_leaves(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from([*TYPES_OF_FIELDS, *KEYS, *(f"custom.{key}" for key in KEYS)]))
    key = name.removeprefix("custom.")
    declared: Any = TYPES_OF_FIELDS.get(name) or TYPES_OF_CUSTOM.get(DECLARED.get(key, ""))
    free = st.sampled_from(get_args(Type))
    type_ = declared or draw(free.filter(lambda own: own not in ("texts", "ids")))
    operator = draw(st.sampled_from(_operators(name, key, type_)))
    leaf: dict[str, Any] = {"field": name, "operator": operator}
    if operator == "in":
        leaf["value"] = draw(st.lists(values_of(name, type_), min_size=1, max_size=3))
    elif operator in ("older_than", "within_last", "within_next"):
        leaf["value"] = draw(spans)
    elif operator not in ("is_set", "anniversary"):
        leaf["value"] = draw(values_of(name, type_))
    if operator in NEGATED and draw(st.booleans()):
        leaf["operator"] = NEGATED[operator]
    return leaf


@st.composite
def event_leaves(draw: st.DrawFn) -> dict[str, Any]:
    leaf: dict[str, Any] = {"event": draw(st.sampled_from(TYPES))}
    if draw(st.booleans()):
        leaf["last"] = draw(spans)
    if draw(st.booleans()) and (source := draw(st.sampled_from(SOURCES))):
        leaf["source"] = source
    leaf["operator"] = draw(st.sampled_from(["eq", "neq", "in", "gt", "gte", "lt", "lte"]))
    count = st.sampled_from([0, 1, 2, 3, 1.5, -1])
    leaf["value"] = draw(
        st.lists(count, min_size=1, max_size=2) if leaf["operator"] == "in" else count
    )
    return leaf


leaves = field_leaves() | event_leaves()


def groups(depth: int) -> Any:
    node = leaves if depth == 1 else leaves | groups(depth - 1)
    return st.fixed_dictionaries(
        {
            "operator": st.sampled_from(["and", "or"]),
            "conditions": st.lists(node, min_size=1, max_size=3),
        },
        optional={"negate": st.booleans()},
    )  # fmt: skip


documents = groups(3).map(json.dumps)
leaf_documents = leaves.map(lambda leaf: json.dumps({"operator": "and", "conditions": [leaf]}))
