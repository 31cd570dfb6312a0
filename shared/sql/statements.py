"""The framework's own statements, loaded once for all modules."""

from __future__ import annotations

from pathlib import Path

from shared.sql.blocks import SqlBlocks

SQL = SqlBlocks(Path(__file__).parent.parent / "sql")
