"""Convert values to a form that Postgres and the queues can store. Pure."""

from __future__ import annotations

import re
from typing import Any

DEPTH_MAX = 64  # json and jsonb recurse: stop before the stack of Python or Postgres overflows
# Possessive, and an unclosed string extends to the end: no quote is scanned twice.
_STRINGS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = re.compile(r"[^\[\]{}]++")
TOO_DEEP = "(nested too deeply to be kept)"


def sanitize(value: Any, depth: int = DEPTH_MAX) -> Any:
    """Replace values that jsonb refuses: NUL characters, lone surrogates, NaN, deep nesting.

    >>> sanitize({"a": ("b\\0", float("inf"))})
    {'a': ['b\ufffd', 'inf']}
    """
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict | list | tuple) and depth == 0:
        return TOO_DEEP
    if isinstance(value, dict):
        return {printable(str(key)): sanitize(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [sanitize(item, depth - 1) for item in value]
    if isinstance(value, float) and not (abs(value) <= 1.7976931348623157e308):
        return str(value)
    return (
        value if value is None or isinstance(value, bool | int | float) else printable(str(value))
    )


def printable(text: str) -> str:
    """Replace NUL characters and lone surrogates, which UTF-8 or Postgres cannot store.

    >>> printable("a\\0b")
    'a\ufffdb'
    """
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def visible(text: str) -> str:
    """Escape every character that controls a terminal or is invisible in it.

    >>> visible("\x1b]52;c;eA==\a \u202egpj.exe"), visible("Zoë, 3 €")
    ('\\\\x1b]52;c;eA==\\\\x07 \\\\u202egpj.exe', 'Zoë, 3 €')
    """
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() else c.encode("unicode_escape").decode() for c in text])


def is_too_deep(value: Any) -> bool:
    """Return True if `sanitize` would cut something off."""
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return False
    return any(isinstance(item, dict | list | tuple) for item in level)


def is_json_too_deep(text: str, depth_max: int = DEPTH_MAX) -> bool:
    """Return True if JSON text is nested too deeply to be parsed.

    In WebAssembly a parser that recurses too deeply ends the interpreter instead of raising. Takes
    time linear in the length of any text.

    >>> is_json_too_deep('["[[["]' * 100), is_json_too_deep("[" * 100)
    (False, True)
    """
    if text.count("[") + text.count("{") <= depth_max:
        return False
    depth = 0
    for bracket in _NO_BRACKETS.sub("", _STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > depth_max:
            return True
    return False


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()
