"""Fill a template with a recipient's values. A value is text, and never a template."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

from delivery.content.errors import ContentError
from delivery.content.template import Each, If, Name, Nodes, Template, Text, Value
from delivery.domain.rendered import Rendered
from shared.sanitize import printable

FILLED_CHARS_MAX = 1_000_000  # of one part of a message
STEPS_MAX = 100_000  # nodes visited: a list in a list may have no text
ROOTS = frozenset({"contact", "custom", "organization", "campaign", "variables", "unsubscribe_url"})
# What ends a line, in some program; and what no header may contain.
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

Names = Mapping[str, Any]


@dataclass(frozen=True, repr=False)
class FilledValue:
    """A value as text, not escaped."""

    text: str
    is_raw: bool


@dataclass(frozen=True, repr=False)
class Filled:
    """A template with a recipient's values: one literal more than values."""

    literals: tuple[str, ...]
    values: tuple[FilledValue, ...]


def render_html(template: Template, names: Names) -> Rendered:
    """Return HTML: values are escaped, except for raw ones."""
    return as_html(fill(template, names))


def render_text(template: Template, names: Names) -> Rendered:
    """Return plain text: nothing is escaped."""
    filled = fill(template, names)
    return Rendered(filled.literals, tuple(value.text for value in filled.values))


def render_line(template: Template, names: Names) -> Rendered:
    """Return one line, for a header: each run of line breaks and control characters is a space."""
    filled = fill(template, names)
    return Rendered(
        tuple(single_line(literal) for literal in filled.literals),
        tuple(single_line(value.text) for value in filled.values),
    )


def as_html(filled: Filled) -> Rendered:
    """Escape the values that are not raw."""
    texts = [value.text if value.is_raw else html.escape(value.text) for value in filled.values]
    return Rendered(filled.literals, tuple(texts))


def single_line(text: str) -> str:
    """Replace each run of line breaks and other control characters by a space.

    >>> single_line("Hello\\r\\nBcc: x@y.example")
    'Hello Bcc: x@y.example'
    """
    return _BREAKS.sub(" ", text)


def fill(template: Template, names: Names) -> Filled:
    """Return the literals and values of the template. ContentError if they become too large."""
    output = _Output()
    _fill(template.nodes, _Scope(names), output)
    return output.filled()


@dataclass(frozen=True, repr=False)
class _Scope:
    """The names of a place: those of the message; in a list also those of its items."""

    names: Names
    items: tuple[Any, ...] = ()  # from the innermost list outward
    index: int = 0

    def find(self, name: Name) -> Any:
        """Return the value of a name; None if it is unset.

        In a list `this` is the item, and a field of the item needs no `this.` before it. The
        message's own names cannot be replaced by an item's field.
        """
        first = name[0]
        if first == "@index":
            return self.index
        if first == "this":
            return _below(self.items[0], name[1:])
        if first not in ROOTS:
            for item in self.items:
                if isinstance(item, Mapping) and first in item:
                    return _below(item, name)
        return _below(self.names, name)


def _below(value: Any, name: Name) -> Any:
    for part in name:
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


@dataclass(repr=False)
class _Output:
    literals: list[list[str]] = field(default_factory=lambda: [[]])
    values: list[FilledValue] = field(default_factory=list)
    chars: int = 0
    steps: int = 0

    def add_literal(self, text: str) -> None:
        self.literals[-1].append(text)
        self._count(text)

    def add_value(self, text: str, is_raw: bool) -> None:
        self.values.append(FilledValue(text, is_raw))
        self.literals.append([])
        self._count(text)

    def step(self) -> None:
        self.steps += 1
        if self.steps > STEPS_MAX:
            raise ContentError(
                f"the template takes more than {STEPS_MAX:,} steps: shorten its lists"
            )

    def _count(self, text: str) -> None:
        self.chars += len(text)
        if self.chars > FILLED_CHARS_MAX:
            raise ContentError(
                f"the filled template has more than {FILLED_CHARS_MAX:,} characters: shorten it,"
                " its values or its lists"
            )

    def filled(self) -> Filled:
        return Filled(tuple("".join(parts) for parts in self.literals), tuple(self.values))


def _fill(nodes: Nodes, scope: _Scope, output: _Output) -> None:
    """Recursion ends: the depth of a template is bounded by its parser."""
    for node in nodes:
        output.step()
        match node:
            case Text(text):
                output.add_literal(text)
            case Value(name, is_raw):
                output.add_value(text_of(scope.find(name)), is_raw)
            case If(name, then, otherwise):
                _fill(then if is_true(scope.find(name)) else otherwise, scope, output)
            case Each(name, body):
                _fill_each(scope.find(name), body, scope, output)


def _fill_each(items: Any, body: Nodes, scope: _Scope, output: _Output) -> None:
    if not isinstance(items, list | tuple):
        return
    for index, item in enumerate(items):
        output.step()
        _fill(body, _Scope(scope.names, (item, *scope.items), index), output)


def is_true(value: Any) -> bool:
    """Return False for what is unset, false, 0, '' or an empty list."""
    is_number = isinstance(value, int | float | Decimal)
    if is_number and value != value:  # NaN
        return False
    return bool(value) or isinstance(value, Mapping)


_TEXTS: dict[type, Callable[[Any], str]] = {
    str: printable,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: lambda value: _decimal(value) if isfinite(value) else "",
    Decimal: lambda value: format(value, "f") if value.is_finite() else "",
    UUID: str,
}


def text_of(value: Any) -> str:
    """Return a value as people read it; '' for what is unset, a list or an object.

    >>> [text_of(value) for value in (None, True, 12.0, 1e-7, {"a": 1})]
    ['', 'true', '12', '0.0000001', '']
    """
    if isinstance(value, date):
        return value.isoformat()
    return _TEXTS.get(type(value), lambda _: "")(value)


def _decimal(value: float) -> str:
    text = format(Decimal(repr(value)), "f")
    return "0" if value == 0 else text.removesuffix(".0")
