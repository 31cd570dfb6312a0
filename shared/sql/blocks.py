"""Load statements from `.sql` files, which consist of blocks that begin with `-- name:
the_name`.
"""

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

    A line `-- include: formula` is replaced by the text of `parts/formula.sql`, for text that
    several statements share. A part may include others. A part that the folder does not have is
    looked up in the folders of `also`, then in the shared parts of all workers.
    """

    def __init__(self, folder: Path, also: Sequence[Path] = ()) -> None:
        self.folder = folder
        self.also = also

    def __getitem__(self, name: str) -> str:
        return self.blocks[name]

    @cached_property
    def blocks(self) -> dict[str, str]:
        """Return the statements by name. Raise ValueError for a duplicate name."""
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
        """Replace each line `-- include: part` by the part."""
        return _INCLUDE.sub(lambda include: self.part(include[1]), text)

    def part(self, name: str) -> str:
        """Return the text of `parts/<name>.sql`."""
        paths = [folder / "parts" / f"{name}.sql" for folder in (self.folder, *self.also)]
        path = next((path for path in paths if path.exists()), SHARED_PARTS / f"{name}.sql")
        return self.expand(path.read_text(encoding="utf-8").strip())
