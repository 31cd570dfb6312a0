"""The SQL statements of operations: the named blocks of `mauntic/operations/sql`."""

from __future__ import annotations

from mauntic.project.programs import ROOT
from shared.sql.blocks import SqlBlocks

# Checks reuse the jobs' formulas.
SQL = SqlBlocks(ROOT / "mauntic" / "operations" / "sql", sorted((ROOT / "workers").glob("*/sql")))
