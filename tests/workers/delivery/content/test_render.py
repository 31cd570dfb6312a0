"""Filled templates, against Handlebars."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.content.email import SUBJECT_CHARS_MAX
from delivery.content.errors import ContentError
from delivery.content.push import PAYLOAD_BYTES_MAX
from delivery.content.render import (
    FILLED_CHARS_MAX,
    STEPS_MAX,
    fill,
    is_true,
    render_html,
    render_line,
    render_text,
    single_line,
    text_of,
)
from delivery.content.sms import CHARS_MAX
from delivery.content.template import DEPTH_MAX, SOURCE_CHARS_MAX, TAGS_MAX, Node, Template, parse
from tests.processor_time import own_time
from tests.workers.delivery.conftest import Oracle
from tests.workers.delivery.content.templates import names, sources

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=300)
@given(source=sources, given_names=names)
def test_a_filled_template_is_that_of_handlebars(
    oracle: Oracle, source: str, given_names: dict[str, Any]
) -> None:
    ours = str(render_html(parse(_without_structures(source)), given_names))
    theirs = oracle.ask("render", template=_without_structures(source), names=given_names)
    assert ours == theirs


def _without_structures(source: str) -> str:
    """Drop tags that would print a list or an object."""
    for name in ("contact.list", "variables.rows", "this", "this.list", "list"):
        source = source.replace(f"{{{{{{ {name} }}}}}}", "").replace(f"{{{{{name}}}}}", "")
    return source


def test_an_item_of_text_or_number_is_printed_as_by_handlebars(oracle: Oracle) -> None:
    source = "{{#each variables.rows}}{{@index}}:{{this}}={{{this}}};{{/each}}"
    rows = {"variables": {"rows": ["<a>", 1, 2.5, True, "", 0, False]}}
    assert str(render_html(parse(source), rows)) == oracle.ask(
        "render", template=source, names=rows
    )


@given(source=sources, given_names=names)
def test_values_and_literals_are_the_text(source: str, given_names: dict[str, Any]) -> None:
    """Unset values are values too, so that recipients share the literals."""
    template = parse(source)
    rendered = render_html(template, given_names)
    assert len(rendered.literals) == len(rendered.values) + 1
    assert render_html(template, given_names) == rendered
    text = render_text(template, given_names)
    assert text.literals == rendered.literals
    for filled, escaped in zip(fill(template, given_names).values, rendered.values, strict=True):
        assert escaped == (filled.text if filled.is_raw else html.escape(filled.text))


@given(st.dictionaries(st.sampled_from(["contact", "custom", "variables"]), json_values))
def test_recipients_of_a_template_without_blocks_share_the_literals(values: dict[str, Any]) -> None:
    template = parse("Dear {{contact.a}}, {{{custom}}}{{variables.b.c}}!")
    assert render_html(template, values).literals == ("Dear ", ", ", "", "!")


@given(st.text(), st.sampled_from(["{{variables.a}}", "{{{variables.a}}}"]))
def test_a_value_is_never_a_template(value: str, source: str) -> None:
    tricky = f"{{{{contact.b}}}}{value}{{{{#if contact.b}}}}"
    names = {"variables": {"a": tricky}, "contact": {"b": "secret"}}
    rendered = render_text(parse(source), names)
    assert rendered.values == (text_of(tricky),)
    assert "secret" not in str(rendered)


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("{{contact}}{{contact.none}}{{contact.name.more}}{{none.a}}{{contact.list}}", ""),
        ("{{contact.name}}/{{{contact.name}}}", "&lt;Zoë &amp; &quot;I&#x27;&gt;/<Zoë & \"I'>"),
        ("{{#each contact.name}}x{{/each}}{{#each contact}}x{{/each}}", ""),
        ("{{#each variables.rows}}{{#each in}}{{@index}}{{this}}{{b}}{{/each}}{{@index}};{{/each}}",
         "0xo1yo0;0zp1;"),
        ("{{#each variables.rows}}{{contact.age}}{{this.contact.age}}{{/each}}", "7878"),
        ("{{#if contact.zero}}a{{else}}b{{/if}}{{#if contact.empty}}a{{else}}b{{/if}}", "bb"),
        ("{{unsubscribe_url}}", "https://h/u/x"),
    ],
)  # fmt: skip
def test_names_and_blocks(source: str, result: str) -> None:
    """An item cannot replace the message's own names."""
    given_names = {
        "contact": {"name": "<Zoë & \"I'>", "list": [1], "zero": 0, "empty": [], "age": 7},
        "variables": {
            "rows": [
                {"b": "o", "in": ["x", "y"], "contact": {"age": 8}},
                {"b": "p", "in": ["z"], "contact": {"age": 8}},
            ]
        },
        "unsubscribe_url": "https://h/u/x",
    }
    assert str(render_html(parse(source), given_names)) == result


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), ("", ""), ("a", "a"), (True, "true"), (False, "false"), (0, "0"), (-1, "-1"),
        (1.0, "1"), (-0.0, "0"), (0.1, "0.1"), (1e-7, "0.0000001"), (1e22, "1" + "0" * 22),
        (float("nan"), ""), (float("inf"), ""), (Decimal("12.50"), "12.50"), (Decimal("NaN"), ""),
        (Decimal("1E+3"), "1000"), (date(2026, 3, 1), "2026-03-01"),
        (datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01T00:00:00+00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"), ([], ""), ({}, ""),
        ("a\0\ud800", "a\ufffd?"),
    ],
)  # fmt: skip
def test_a_value_reads_as_people_write_it(value: object, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize("value", [None, False, 0, 0.0, "", [], float("nan"), Decimal(0)])
def test_what_is_false(value: object) -> None:
    assert not is_true(value)


@pytest.mark.parametrize("value", [True, 1, -0.5, "0", "false", [0], {}, {"a": 1}, Decimal("0.1")])
def test_what_is_true(value: object) -> None:
    assert is_true(value)


@given(st.text(st.sampled_from("a \r\n\t\v\f\x00\x1b\x85\u2028\u2029é"), max_size=20))
def test_a_header_is_one_line(value: str) -> None:
    """By the rule of the standard library, which is the widest one."""
    line = str(
        render_line(parse(f"Hi\r\nBcc: x {{{{{{contact.a}}}}}}{value}"), {"contact": {"a": value}})
    )
    assert len(line.splitlines()) == 1
    assert line.startswith("Hi Bcc: x ")
    assert not any(character < " " or character == "\x7f" for character in line)
    assert single_line(line) == line


def test_a_result_has_a_size() -> None:
    rows = {"variables": {"rows": ["a" * 100] * 200}}
    twice = "{{#each variables.rows}}{{#each variables.rows}}{{this}}{{/each}}{{/each}}"
    with pytest.raises(ContentError, match="more than 1,000,000 characters: shorten it"):
        render_html(parse(twice), rows)


def test_a_result_has_an_end() -> None:
    """Ten billion empty repetitions, which would take hours."""
    rows = {"variables": {"rows": [""] * 100}}
    deep = "{{#each variables.rows}}" * 5 + "{{/each}}" * 5
    with own_time() as seconds:
        with pytest.raises(ContentError, match="more than 100,000 steps: shorten its lists"):
            render_html(parse(deep), rows)
        assert seconds() < 5


def test_the_largest_template_is_filled_in_time() -> None:
    template = parse("{{contact.a}}{{#if contact.a}}b{{/if}}" * 6_000)
    with own_time() as seconds:
        assert len(str(render_html(template, {"contact": {"a": "x"}}))) == 12_000
        assert seconds() < 1


def test_no_representation_has_a_value() -> None:
    filled = fill(parse("a {{contact.a}}"), {"contact": {"a": "secret"}})
    assert "secret" not in repr(filled) + repr(filled.values)


PAGE = Path(__file__).parents[4] / "docs" / "templates.md"
ROW = re.compile(r"^\| `(.+)` \| `(\{.*\})` \| `(.*)` \|$", re.MULTILINE)


@pytest.mark.parametrize("row", ROW.findall(PAGE.read_text(encoding="utf-8")))
def test_the_examples_of_the_page_are_true(oracle: Oracle, row: tuple[str, str, str]) -> None:
    source, given_names, result = row
    assert str(render_html(parse(source), json.loads(given_names))) == result
    assert oracle.ask("render", template=source, names=json.loads(given_names)) == result


def test_the_limits_of_the_page_are_those_of_the_code() -> None:
    """In the order of its table."""
    text = PAGE.read_text(encoding="utf-8")
    limits = [SOURCE_CHARS_MAX, FILLED_CHARS_MAX, TAGS_MAX, DEPTH_MAX, STEPS_MAX]
    limits += [SUBJECT_CHARS_MAX, CHARS_MAX, PAYLOAD_BYTES_MAX]
    table = text[text.index("| limit | value |") : text.index("## E-mail")]
    assert re.findall(r"\d[\d,]*", table) == [f"{limit:,}" for limit in limits]


def test_a_tree_is_data() -> None:
    template = parse("a{{b}}")
    assert isinstance(template, Template)
    assert all(isinstance(node, Node) for node in template.nodes)
