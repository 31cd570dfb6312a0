"""The statements of the analytics jobs, one function each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

from shared.messages import Shard
from shared.ports import Database
from shared.sql.blocks import SqlBlocks
from shared.windows import Window

SQL = SqlBlocks(Path(__file__).parent.parent / "sql")

HOURLY, DAILY = "analytics.aggregate-hourly", "analytics.generate-daily-reports"


@dataclass(frozen=True)
class Booked:
    """The result of a run of an hour. `refused` are organizations with types that begin with
    `monthly:`.
    """

    rows_read: int
    rows_written: int
    refused: list[str]


@dataclass(frozen=True)
class WarmupCounter:
    """The key of a counter of a domain in warm-up, and the day that it belongs to."""

    key: str
    organization_id: UUID
    domain: str
    day: date


def spent_counters(db: Database, counters: Sequence[WarmupCounter], warmup_days: int) -> list[str]:
    """Return the keys of the counters that can be deleted."""
    rows = db.rows(
        SQL["spent_counters"],
        keys=[counter.key for counter in counters],
        organizations=[counter.organization_id for counter in counters],
        domains=[counter.domain for counter in counters],
        days=[counter.day for counter in counters],
        warmup_days=warmup_days,
    )
    return [row["key"] for row in rows]


def lock_days(
    db: Database, job_type: str, days: list[date], window: Window, shard: Shard | None
) -> bool:
    """Wait for the lock on the days, which ends with the transaction. Return whether no other shard
    of the window can share them.

    A run that waited sees the rows of earlier runs, so no older count overwrites a newer one. The
    shards of one window share its days; after another window has intervened, they also run one by
    one.
    """
    if shard and _share_days(db, job_type, days, str(window)):
        return False
    _take_days(db, job_type, days)
    return True


def leave_days_to_shards(db: Database, job_type: str, days: list[date], window: Window) -> None:
    """Let the window lock the days once more, for all of its shards."""
    _take_days(db, job_type, days, shared_by=str(window))


def days_of(*spans: Window) -> list[date]:
    """Return the calendar days (UTC) of the spans, each once, oldest first."""
    days: set[date] = set()
    for span in spans:
        first, last = span.start.date(), (span.end - timedelta(microseconds=1)).date()
        days.update(first + timedelta(days=n) for n in range((last - first).days + 1))
    return sorted(days)


def _take_days(db: Database, job_type: str, days: list[date], shared_by: str | None = None) -> None:
    db.execute(SQL["take_days"], job_type=job_type, days=days, shared_by=shared_by)


def _share_days(db: Database, job_type: str, days: list[date], shared_by: str) -> bool:
    """Return True with a share of every day, or False without any: a partial share could cause a
    deadlock.
    """
    db.ahead("savepoint before_sharing")
    shared = db.rows(SQL["share_days"], job_type=job_type, days=days, shared_by=shared_by)
    if len(shared) == len(days):
        return True
    db.execute("rollback to savepoint before_sharing")
    return False
