"""The statements of the commands: the named blocks of `cli/sql`."""

from __future__ import annotations

from pathlib import Path

from shared.sql_blocks import SqlBlocks

SQL = SqlBlocks(Path(__file__).parent / "sql")
