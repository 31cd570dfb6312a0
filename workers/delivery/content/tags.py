"""Split a template into text and tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from delivery.content.errors import TemplateError

_NAME = re.compile(r"[\w-]{1,100}(?:\.[\w-]{1,100}){0,9}")
ALLOWED = (
    "write {{name}}, {{{name}}}, {{#if name}}, {{else}}, {{/if}}, {{#each name}} or {{/each}},"
    " where a name is for example contact.first_name"
)


@dataclass(frozen=True, repr=False)
class Tag:
    """`{{word name}}`, or the text before a tag: then `word` is empty.

    `word` is `value`, `raw`, `#if`, `#each`, `else`, `/if` or `/each`.
    """

    word: str
    line: int
    column: int
    text: str = ""
    name: tuple[str, ...] = ()

    def error(self, problem: str, remedy: str) -> TemplateError:
        """Return an error at the place of this tag."""
        return TemplateError(self.line, self.column, problem, remedy)


def tags(source: str) -> Iterator[Tag]:
    """Yield the texts and tags of a template in their order. Each character is read once."""
    position, line, line_start = 0, 1, 0
    while (start := source.find("{{", position)) >= 0:
        yield Tag("", line, position - line_start + 1, source[position:start])
        line, line_start = _advanced(source, position, start, line, line_start)
        column = start - line_start + 1
        is_raw = source.startswith("{{{", start)
        end = _end(source, start, is_raw, line, column)
        width = 3 if is_raw else 2
        yield _tag(source[start + width : end], is_raw, line, column)
        line, line_start = _advanced(source, start, end, line, line_start)
        position = end + width
    yield Tag("", line, position - line_start + 1, source[position:])


def _advanced(source: str, start: int, end: int, line: int, line_start: int) -> tuple[int, int]:
    """Return the line at `end`, and where it starts."""
    breaks = source.count("\n", start, end)
    return line + breaks, source.rfind("\n", start, end) + 1 if breaks else line_start


def _end(source: str, start: int, is_raw: bool, line: int, column: int) -> int:
    opening, closing = ("{{{", "}}}") if is_raw else ("{{", "}}")
    end = source.find(closing, start + len(opening))
    if end < 0:
        raise TemplateError(line, column, f"`{opening}` is not closed", f"add `{closing}`")
    return end


def _tag(content: str, is_raw: bool, line: int, column: int) -> Tag:
    words = content.split(maxsplit=2)  # two are the most that a tag has
    first, rest = (words[0], words[1:]) if words else ("", [])
    if is_raw or first[:1] not in ("#", "/"):
        if first == "else" and not rest and not is_raw:
            return Tag("else", line, column)
        name = _name(first) if not rest else None
        if name:
            return Tag("raw" if is_raw else "value", line, column, name=name)
    elif first in ("#if", "#each") and len(rest) == 1 and (name := _name(rest[0])):
        return Tag(first, line, column, name=name)
    elif first in ("/if", "/each") and not rest:
        return Tag(first, line, column)
    raise TemplateError(line, column, "this tag is not known", ALLOWED)


def _name(text: str) -> tuple[str, ...] | None:
    """Return the parts of a name such as `contact.first_name`, `this` or `@index`."""
    if text == "@index":
        return (text,)
    return tuple(text.split(".")) if _NAME.fullmatch(text) else None
