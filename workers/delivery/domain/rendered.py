"""Rendered text: the literals of a template, and the values between them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rendered:
    """`literals[0] values[0] literals[1] … literals[-1]`: one literal more than values.

    Two recipients of a template without blocks have the same literals. A provider with shared
    content receives the literals once and each recipient's values.
    """

    literals: tuple[str, ...]
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.literals) != len(self.values) + 1:
            raise ValueError(f"{len(self.literals)} literals enclose {len(self.values)} values")

    def __str__(self) -> str:
        parts = [self.literals[0]]
        for value, literal in zip(self.values, self.literals[1:], strict=True):
            parts += (value, literal)
        return "".join(parts)


def plain(text: str) -> Rendered:
    """Return text without values."""
    return Rendered((text,))
