"""What is a template, and where one that is not has its error."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.content.errors import ContentError, TemplateError
from delivery.content.render import render_html
from delivery.content.template import DEPTH_MAX, SOURCE_CHARS_MAX, TAGS_MAX, parse
from tests.processor_time import own_time
from tests.workers.delivery.content.templates import sources

MIXED = ["{{", "}}", "{{{", "}}}", "{", "}", "#if", "#each", "else", "/if", "/each", " ", "\n"]
MIXED += ["a", "a.b", "this", "@index", ".", "#", "/", "!", "é", "{{#if a}}", "{{/if}}", "{{else}}"]


@pytest.mark.parametrize(
    ("source", "line", "column", "problem"),
    [
        ("{{a", 1, 1, "`{{` is not closed: add `}}`"),
        ("ab\n  {{{a}}", 2, 3, "`{{{` is not closed: add `}}}`"),
        ("é\n\n{{a b}}", 3, 1, "this tag is not known: write"),
        ("{{}}", 1, 1, "this tag is not known: write"),
        ("{{a}} {{ b {{c}}", 1, 7, "this tag is not known: write"),
        ("{{{{a}}}}", 1, 1, "this tag is not known: write"),
        ("{{> part}}", 1, 1, "this tag is not known: write"),
        ("{{!x}}", 1, 1, "this tag is not known: write"),
        ("{{#unless a}}", 1, 1, "this tag is not known: write"),
        ("{{#if}}{{/if}}", 1, 1, "this tag is not known: write"),
        ("{{#if a b}}{{/if}}", 1, 1, "this tag is not known: write"),
        ("{{a.}}", 1, 1, "this tag is not known: write"),
        ("{{.a}}", 1, 1, "this tag is not known: write"),
        ("{{a..b}}", 1, 1, "this tag is not known: write"),
        ("{{@key}}", 1, 1, "this tag is not known: write"),
        ("{{ " + "a" * 101 + " }}", 1, 1, "this tag is not known: write"),
        ("{{" + "a." * 10 + "a}}", 1, 1, "this tag is not known: write"),
        ("a\n{{#if a}}\nb", 2, 1, "{{#if}} is not closed: add {{/if}}"),
        ("{{#if a}}{{#each a}}", 1, 10, "{{#each}} is not closed: add {{/each}}"),
        ("{{#if a}}\n {{/each}}", 2, 2, "{{/each}} closes {{#if}} of line 1: write {{/if}}"),
        ("a {{/if}}", 1, 3, "{{/if}} closes no block: remove it"),
        ("{{else}}", 1, 1, "{{else}} does not belong to {{#if}}: remove it"),
        ("{{#each a}}{{else}}{{/each}}", 1, 12, "{{else}} does not belong to {{#if}}: remove it"),
        ("{{#if a}}{{else}}{{else}}{{/if}}", 1, 18, "{{#if}} has two {{else}}: remove this one"),
        ("{{this}}", 1, 1, "`this` is outside of {{#each}}: move it into the block"),
        ("{{#if this.a}}{{/if}}", 1, 1, "`this` is outside of {{#each}}: move it"),
        ("{{#each a}}{{/each}}{{@index}}", 1, 21, "`@index` is outside of {{#each}}: move it"),
    ],
)
def test_an_error_names_its_place_and_its_remedy(
    source: str, line: int, column: int, problem: str
) -> None:
    with pytest.raises(TemplateError) as raised:
        parse(source)
    assert (raised.value.line, raised.value.column) == (line, column)
    assert str(raised.value).startswith(f"line {line}, column {column}: {problem}")


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("", ""),
        ("a { b } c", "a { b } c"),
        ("{color: {{ a }}}", "{color: 1}"),
        ("{{a}}}", "1}"),
        ("{{\na\n}}", "1"),
        ("{{ # if a}}", None),
        ("}} {{a}} }}", "}} 1 }}"),
        ("{{#if  a }}x{{ else }}y{{/if }}", "x"),
    ],
)
def test_spaces_and_single_braces(source: str, result: str | None) -> None:
    if result is None:
        with pytest.raises(TemplateError):
            parse(source)
    else:
        assert str(render_html(parse(source), {"a": 1})) == result


def error_of(source: str) -> TemplateError | None:
    try:
        parse(source)
    except TemplateError as error:
        return error
    return None


@given(st.lists(st.sampled_from(MIXED), max_size=30).map("".join))
def test_any_text_is_a_template_or_has_an_error_with_its_place(source: str) -> None:
    error = error_of(source)
    if error is not None:
        lines = source.split("\n")
        assert 1 <= error.line <= len(lines)
        assert lines[error.line - 1][error.column - 1 :].startswith("{{")


@given(sources)
def test_what_is_generated_for_other_tests_is_a_template(source: str) -> None:
    parse(source)


def test_blocks_have_a_depth() -> None:
    parse("{{#if a}}" * DEPTH_MAX + "{{/if}}" * DEPTH_MAX)
    with pytest.raises(TemplateError, match=f"column {9 * DEPTH_MAX + 1}: blocks are nested more"):
        parse("{{#if a}}" * 50_000)


def test_a_template_has_a_size() -> None:
    parse("a" * SOURCE_CHARS_MAX)
    with pytest.raises(ContentError, match="more than 500,000 characters: shorten it"):
        parse("a" * (SOURCE_CHARS_MAX + 1))
    parse("{{a}}" * TAGS_MAX)
    with pytest.raises(ContentError, match="more than 20,000 tags: shorten it"):
        parse("{{a}}" * (TAGS_MAX + 1))


@pytest.mark.parametrize(
    "source", ["{{", "{{a", "}}", "{{{a}}", "{", "\n{{a}}", "{{ ", "{{" + "a " * 50 + "}}", "{{#if"]
)
def test_the_largest_text_takes_no_longer_than_its_length(source: str) -> None:
    """A quadratic parser would take minutes."""
    text = source * (SOURCE_CHARS_MAX // len(source))
    with own_time() as seconds:
        with suppress(ContentError):
            parse(text)
        assert seconds() < 2


def test_no_representation_has_content() -> None:
    template = parse("secret {{#if secret}}{{secret}}{{/if}}{{#each secret}}{{/each}}")
    assert "secret" not in repr(template) + "".join(repr(node) for node in template.nodes)
    with pytest.raises(TemplateError) as raised:
        parse("{{secret secret}}")
    assert "secret" not in str(raised.value)
