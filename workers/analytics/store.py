"""The statements of the analytics jobs, a function each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from analytics import sharding
from analytics.sharding import Size, bounds
from shared.messages import Shard
from shared.ports import Database
from shared.sql_blocks import SqlBlocks
from shared.windows import Window

SQL = SqlBlocks(Path(__file__).parent / "sql")

HOUR = timedelta(hours=1)
HOURLY, DAILY = "analytics.aggregate-hourly", "analytics.generate-daily-reports"


@dataclass(frozen=True)
class Booked:
    """What a run of an hour did. `refused` are organisations whose types begin with `monthly:`."""

    rows_read: int
    rows_written: int
    refused: list[str]


@dataclass(frozen=True)
class Reported:
    """What a run of reports did. `noticed` are organisations with data that it cannot use."""

    rows_read: int
    rows_written: int
    noticed: list[str]


@dataclass(frozen=True)
class WarmupCounter:
    """A counter object of a domain that is warming up, by its key, and the day that it counts."""

    key: str
    organization_id: UUID
    domain: str
    day: date


def book_hour(db: Database, window: Window, shard: Shard | None = None) -> Booked:
    """Book the events of an hour, and late ones, into their days. Any number of times."""
    return book_hours(db, window, touched_hours(db, window, shard), shard)


def touched_hours(db: Database, window: Window, shard: Shard | None = None) -> list[Window]:
    """The hours that a run of `window` books, oldest first: its own and those of late events."""
    rows = db.rows(SQL["touched_hours"], start=window.start, end=window.end, **bounds(shard))
    return [Window(row["hour"], row["hour"] + HOUR) for row in rows]


def book_hours(db: Database, window: Window, hours: list[Window], shard: Shard | None) -> Booked:
    """Book the events of `hours` into their days, as part of the run of `window`."""
    part, starts = bounds(shard), [hour.start for hour in hours]
    lock_days(db, HOURLY, days_of(*hours), window, shard)
    known = {row["hour"] for row in db.rows(SQL["known_hours"], hours=starts, **part)}
    fresh = [hour for hour in starts if hour not in known]
    cells = db.execute(SQL["book_cells"], known=sorted(known), fresh=fresh, **part)
    days = db.execute(SQL["set_days"], hours=starts, **part)
    [totals] = db.rows(SQL["hour_totals"], start=window.start, **part)
    return Booked(int(totals["count"]), cells + days, _texts(totals["refused"]))


def report_days(db: Database, span: Window, window: Window, shard: Shard | None = None) -> Reported:
    """Set the campaigns' rows of the days of `span`, as part of the run of `window`."""
    days = days_of(span)
    lock_days(db, DAILY, days, window, shard)
    [done] = db.rows(SQL["report_days"], start=span.start, end=span.end, days=days, **bounds(shard))
    return Reported(done["rows_read"], done["rows_written"], _texts(done["passed_over"]))


def unbooked_hours(db: Database, window: Window) -> int:
    """How many hours of the window are queued, being run or to be tried again."""
    [row] = db.rows(SQL["unbooked_hours"], job_type=HOURLY, start=window.start, end=window.end)
    return int(row["count"])


def set_monthly_usage(db: Database, window: Window, shard: Shard | None = None) -> Reported:
    """Set the `monthly:` rows of a month. Any number of times."""
    [done] = db.rows(
        SQL["set_monthly_usage"],
        start=window.start,
        end=window.end,
        first_day=window.start.date(),
        until_day=window.end.date(),
        **bounds(shard),
    )
    return Reported(done["rows_read"], done["rows_written"], _texts(done["differing"]))


def spent_counters(db: Database, counters: Sequence[WarmupCounter], warmup_days: int) -> list[str]:
    """The keys of the counters that may be deleted."""
    rows = db.rows(
        SQL["spent_counters"],
        keys=[counter.key for counter in counters],
        organizations=[counter.organization_id for counter in counters],
        domains=[counter.domain for counter in counters],
        days=[counter.day for counter in counters],
        warmup_days=warmup_days,
    )
    return [row["key"] for row in rows]


def event_sizes(db: Database, spans: Sequence[Window]) -> list[Size]:
    """The organisations' events in spans of time; none at all where one run can take them."""
    parameters = {"starts": [span.start for span in spans], "ends": [span.end for span in spans]}
    [counted] = db.rows(SQL["events_beyond"], **parameters, most=sharding.SHARD_EVENTS_TARGET)
    if not counted["beyond"]:
        return []
    return _sizes(db.rows(SQL["events_by_organization"], **parameters))


def rollup_sizes(db: Database, window: Window) -> list[Size]:
    """The organisations' events of a span of days, as the daily rollups have them."""
    days = {"first_day": window.start.date(), "until_day": window.end.date()}
    return _sizes(db.rows(SQL["rollups_by_organization"], **days))


def lock_days(
    db: Database, job_type: str, days: list[date], window: Window, shard: Shard | None
) -> None:
    """Wait for one's turn at the days; it ends with the transaction.

    Whoever waited sees what the ones before have written, so no older count overwrites a newer one.
    The shards of one window share its days; where another window has cut in they too go one by one.
    """
    if shard is None or not _share_days(db, job_type, days, str(window)):
        db.execute(SQL["take_days"], job_type=job_type, days=days, shared_by=None)


def leave_days_to_shards(db: Database, job_type: str, days: list[date], window: Window) -> None:
    """Have the days locked once more by the window, for all of its shards."""
    db.execute(SQL["take_days"], job_type=job_type, days=days, shared_by=str(window))


def days_of(*spans: Window) -> list[date]:
    """The calendar days (UTC) that the spans touch, each once, oldest first."""
    days: set[date] = set()
    for span in spans:
        first, last = span.start.date(), (span.end - timedelta(microseconds=1)).date()
        days.update(first + timedelta(days=n) for n in range((last - first).days + 1))
    return sorted(days)


def _share_days(db: Database, job_type: str, days: list[date], shared_by: str) -> bool:
    """True with a share in every day, or False with none: half a share could end in a deadlock."""
    db.execute("savepoint before_sharing")
    shared = db.rows(SQL["share_days"], job_type=job_type, days=days, shared_by=shared_by)
    if len(shared) == len(days):
        return True
    db.execute("rollback to savepoint before_sharing")
    return False


def _sizes(rows: Iterable[dict[str, Any]]) -> list[Size]:
    return [Size(row["organization_id"], row["count"]) for row in rows]


def _texts(organizations: Iterable[UUID] | None) -> list[str]:
    return [str(organization) for organization in organizations or []]
