"""One change to one line of one file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """A change to the code. `line` counts from 1; `text` is the whole file after the change."""

    path: str
    line: int
    operator: str
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.operator}\n    - {self.before}\n    + {self.after}"

    def apply(self, tree: Path) -> None:
        """Write the changed file into a copy of the tree."""
        (tree / self.path).write_text(self.text, encoding="utf-8")


@dataclass(frozen=True)
class Site:
    """A line where an operator applies. `make` gives the mutant; None where nothing changes."""

    path: str
    line: int
    make: Callable[[], Mutant | None]


def of_change(path: str, operator: str, original: str, changed: str) -> Mutant | None:
    """The mutant that turns `original` into `changed`; None where no line differs."""
    lines = zip(original.splitlines(), changed.splitlines(), strict=False)
    for number, (before, after) in enumerate(lines, 1):
        if before != after:
            return Mutant(path, number, operator, before.strip(), after.strip(), changed)
    return None
