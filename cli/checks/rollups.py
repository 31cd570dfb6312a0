"""Whether the daily rollups say what their events say, counted anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from cli.statements import SQL
from shared.ports import Database, Row

DAY = timedelta(days=1)


def differences(
    db: Database, start: datetime, end: datetime, advance: Callable[[int], None] = lambda days: None
) -> Iterator[Row]:
    """Every rollup that differs, of the days from `start` up to `end`, which both are midnights.

    A statement a day: it sorts the day's contacts, and a range of any length is read once.
    """
    day = start
    while day < end:
        yield from db.rows(SQL["rollup_differences"], start=day, end=day + DAY)
        advance(1)
        day += DAY


def remedy(rows: list[Row]) -> str:
    """The command that books the wrong days anew."""
    from analytics.store import HOURLY  # only now: that a worker does not import is told by a check

    first = min(row["date"] for row in rows)
    last = max(row["date"] for row in rows) + DAY
    return f"mauntic backfill {HOURLY} --from {first} --to {last} --only all"
