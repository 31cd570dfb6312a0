"""The SQL statements of operations: the named blocks of `mauntic/operations/sql`."""

from __future__ import annotations

from pathlib import Path

from shared.sql.blocks import SqlBlocks

_ROOT = Path(__file__).parents[2]
# Checks reuse the jobs' formulas.
SQL = SqlBlocks(_ROOT / "mauntic" / "operations" / "sql", sorted((_ROOT / "workers").glob("*/sql")))
