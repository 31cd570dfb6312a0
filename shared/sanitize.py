"""Values as Postgres and the queues can hold them. Pure."""

from __future__ import annotations

import re
from typing import Any

DEPTH_MAX = 64  # json and jsonb recurse: Python's and Postgres's stacks end, ours ends first
# Possessive, and a string that never closes ends with the text: no quote is scanned from twice.
_STRINGS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = re.compile(r"[^\[\]{}]++")
TOO_DEEP = "(nested too deeply to be kept)"


def sanitize(value: Any, depth: int = DEPTH_MAX) -> Any:
    """The value without what jsonb refuses: NUL characters, lone surrogates, NaN, endless nesting.

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
    """The text as UTF-8 and Postgres can hold it: without NUL and lone surrogates.

    >>> printable("a\\0b")
    'a\ufffdb'
    """
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def visible(text: str) -> str:
    """The text with each character that a terminal obeys or hides written as its escape.

    >>> visible("\x1b]52;c;eA==\a \u202egpj.exe"), visible("Zoë, 3 €")
    ('\\\\x1b]52;c;eA==\\\\x07 \\\\u202egpj.exe', 'Zoë, 3 €')
    """
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() else c.encode("unicode_escape").decode() for c in text])


def is_too_deep(value: Any) -> bool:
    """True where `sanitize` would cut something off."""
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return False
    return any(isinstance(item, dict | list | tuple) for item in level)


def is_json_too_deep(text: str, depth_max: int = DEPTH_MAX) -> bool:
    """The same of JSON text, before a parser meets it: in WebAssembly too deep a text is not an
    exception but the end of the interpreter. Linear in the text, whatever it is.

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
