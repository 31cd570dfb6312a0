"""The statements of the jobs, in named blocks of `sql/`."""

from __future__ import annotations

from pathlib import Path

from shared.sql.blocks import SqlBlocks

SQL = SqlBlocks(Path(__file__).parent.parent / "sql")
