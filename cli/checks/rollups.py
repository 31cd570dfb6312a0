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

    One statement a day: each sorts one day's contacts, so a range of any length is read once.
    """
    day = start
    while day < end:
        yield from db.rows(SQL["rollup_differences"], start=day, end=day + DAY)
        advance(1)
        day += DAY


def remedy(rows: list[Row]) -> str:
    """The command that books the wrong days anew."""
    # Only now: a worker that cannot be imported is a finding, and must not end the command.
    from analytics.store import HOURLY

    first = min(row["date"] for row in rows)
    last = max(row["date"] for row in rows) + DAY
    return f"mauntic backfill {HOURLY} --from {first} --to {last} --only all"
