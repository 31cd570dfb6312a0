"""The statements of the analytics jobs, a function each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.ports import Database
from shared.sql_blocks import SqlBlocks
from shared.windows import Window

SQL = SqlBlocks(Path(__file__).parent / "sql")


@dataclass(frozen=True)
class Booked:
    """What a run of an hour did. `refused` are organisations whose types begin with `monthly:`."""

    rows_read: int
    rows_written: int
    refused: list[str]


def book_hour(db: Database, window: Window) -> Booked:
    """Book the events of an hour, and those ingested in it, into their days. Any number of times."""
    hours = db.rows(SQL["touched_hours"], start=window.start, end=window.end)
    touched = [row["hour"] for row in hours]
    db.execute(SQL["lock_days"], hours=touched)
    cells = db.execute(
        SQL["book_cells"],
        known=[row["hour"] for row in hours if row["known"]],
        fresh=[row["hour"] for row in hours if not row["known"]],
    )
    days = db.execute(SQL["set_days"], hours=touched)
    [totals] = db.rows(SQL["hour_totals"], start=window.start)
    return Booked(int(totals["count"]), cells + days, [str(org) for org in totals["refused"] or []])
