"""Statements live in `.sql` files, in blocks that begin with `-- name: the_name`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

SHARED_PARTS = Path(__file__).parent.parent / "sql" / "parts"
_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_INCLUDE = re.compile(r"^-- include: (\w+)\s*$", re.MULTILINE)


class SqlBlocks:
    """The named blocks of every `.sql` file of a folder, read at first use: `SQL["claim_run"]`.

    A line `-- include: formula` stands for the text of `parts/formula.sql`: what several statements
    must have in common is written once. A part may include others. A part that the folder does
    not have is looked up in the folders of `also`, then in the shared parts, which workers have in
    common.
    """

    def __init__(self, folder: Path, also: Sequence[Path] = ()) -> None:
        self.folder = folder
        self.also = also

    def __getitem__(self, name: str) -> str:
        return self.blocks[name]

    @cached_property
    def blocks(self) -> dict[str, str]:
        """Name to statement. A name that stands twice raises ValueError."""
        blocks: dict[str, str] = {}
        for path in sorted(self.folder.glob("*.sql")):
            _, *parts = _NAME.split(path.read_text(encoding="utf-8"))
            for name, text in zip(parts[::2], parts[1::2], strict=True):
                if name in blocks:
                    raise ValueError(
                        f"two SQL blocks are called {name}, one of them in {path.name}"
                    )
                blocks[name] = self.expand(text).strip().removesuffix(";")
        return blocks

    def expand(self, text: str) -> str:
        """The text with each line `-- include: part` replaced by the part."""
        return _INCLUDE.sub(lambda include: self.part(include[1]), text)

    def part(self, name: str) -> str:
        """The text of `parts/<name>.sql`."""
        paths = [folder / "parts" / f"{name}.sql" for folder in (self.folder, *self.also)]
        path = next((path for path in paths if path.exists()), SHARED_PARTS / f"{name}.sql")
        return self.expand(path.read_text(encoding="utf-8").strip())
