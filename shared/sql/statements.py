"""The spine's own statements, read once however many modules ask for them."""

from __future__ import annotations

from pathlib import Path

from shared.sql.blocks import SqlBlocks

SQL = SqlBlocks(Path(__file__).parent.parent / "sql")
