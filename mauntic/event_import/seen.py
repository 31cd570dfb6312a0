"""The keys of a file that were read before, on the disk: memory stays flat for any file."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import Literal

from mauntic.errors import OperatorError
from shared.sql.blocks import SqlBlocks

# SQLite's statements: no database of the product runs them.
SQL = SqlBlocks(Path(__file__).parent / "sql")

Before = Literal["new", "same", "other"]


class Seen:
    """Keys with their contents. Only hashes are kept."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # a file that SQLite deletes
        self._db.execute(SQL["make_seen"])
        self._db.execute("begin")

    def add(self, key: str, content: str = "") -> Before:
        """Add the key. Return whether it is new, or was added with the same or another content."""
        values = {"key": _hash(key), "content": _hash(content)}
        try:
            if self._db.execute(SQL["add_seen"], values).rowcount:
                return "new"
        except sqlite3.OperationalError as error:
            raise OperatorError(
                f"The temporary folder cannot be written ({error}): set SQLITE_TMPDIR to a folder"
                " with more space, and run the same command."
            ) from None
        [content_before] = self._db.execute(SQL["find_seen"], values).fetchone()
        return "same" if content_before == values["content"] else "other"

    def close(self) -> None:
        self._db.close()


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
