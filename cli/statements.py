"""The statements of the commands: the named blocks of `cli/sql`."""

from __future__ import annotations

from pathlib import Path

from shared.sql_blocks import SqlBlocks

_ROOT = Path(__file__).parent.parent
# A check counts with the formulas of the jobs.
SQL = SqlBlocks(_ROOT / "cli" / "sql", sorted((_ROOT / "workers").glob("*/sql")))
