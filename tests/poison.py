"""Bodies of any size that cost a careless reader more than their bytes."""

from __future__ import annotations

from collections.abc import Callable

MESSAGE_CHARS = 128_000  # a queue's limit


def _filled(unit: str, size_chars: int) -> str:
    return (unit * (size_chars // len(unit) + 1))[:size_chars]


def _wide(size_chars: int) -> str:
    fields = ",".join(f'"k{n}":{n}' for n in range(size_chars // 14))
    return f"{{{fields}}}"


def _strange_data(size_chars: int) -> str:
    """A message whose every field is unknown: each is a problem of its own."""
    return f'{{"type":"toy.hourly","data":{_wide(size_chars - 40)}}}'


POISON: dict[str, Callable[[int], str]] = {
    "quotes": lambda n: _filled('"', n),
    "escaped quotes": lambda n: _filled('\\"', n),
    "a quote that never closes": lambda n: '"' + _filled('\\"', n - 66) + "[" * 65,
    "backslashes": lambda n: '"' + _filled("\\", n - 66) + "[" * 65,
    "nul escapes": lambda n: f'"{_filled(chr(92) + "u0000", n // 6 * 6 - 6)}"',
    "nul": lambda n: _filled("\0", n),
    "lone surrogates": lambda n: f'"{_filled(chr(92) + "ud800", n // 6 * 6 - 6)}"',
    "open brackets": lambda n: _filled("[", n),
    "open objects": lambda n: _filled('{"', n),
    "objects in objects": lambda n: _filled('{"a":', n),
    "deep arrays": lambda n: "[" * (n // 2) + "]" * (n // 2),
    "closing brackets": lambda n: _filled("]", n - 65) + "[" * 65,
    "many small arrays": lambda n: f"[{_filled('[],', n - 4)[: (n - 4) // 3 * 3]}[]]",
    "many small objects": lambda n: f"[{_filled('{},', n - 4)[: (n - 4) // 3 * 3]}{{}}]",
    "arrays of the greatest depth": lambda n: f"[{','.join(['[' * 63 + ']' * 63] * (n // 128))}]",
    "wide objects": _wide,
    "unknown fields": _strange_data,
    "a long number": lambda n: _filled("9", n),
    "a long number in an object": lambda n: f'{{"type":"toy.hourly","n":{_filled("9", n - 40)}}}',
    "numbers as long as are read": lambda n: f"[{','.join(['9' * 4_300] * max(1, n // 4_301))}]",
    "a long fraction": lambda n: f"0.{_filled('1', n - 2)}",
    "large exponents": lambda n: f"[{_filled('1e999,', n - 8)[: (n - 8) // 6 * 6]}1]",
    "blanks": lambda n: _filled(" ", n),
    "an envelope": lambda n: f'{{"deadLetter":{_wide(n - 20)}}}',
    "astral": lambda n: _filled("\N{PILE OF POO}", n // 4),
}
