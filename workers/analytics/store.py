"""The statements of the analytics jobs, a function each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
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

HOURLY, DAILY = "analytics.aggregate-hourly", "analytics.generate-daily-reports"


@dataclass(frozen=True)
class Survey:
    """What a run of an hour has to do: `hours` to recount besides its own, `days` to write, those
    of them that nobody has booked, whether late events are to be booked, and how many events it
    reads, its own hour's and all."""

    own_events: int
    has_late: bool
    hours: list[datetime]
    days: list[date]
    unbegun: list[date]
    events: int


@dataclass(frozen=True)
class Booked:
    """What a run of an hour did. `refused` are organisations whose types begin with `monthly:`."""

    rows_read: int
    rows_written: int
    refused: list[str]


@dataclass(frozen=True)
class WarmupCounter:
    """A counter object of a domain that is warming up, by its key, and the day that it counts."""

    key: str
    organization_id: UUID
    domain: str
    day: date


def survey_hour(db: Database, window: Window, shard: Shard | None = None) -> Survey:
    """What the run of an hour has to book."""
    [row] = db.rows(
        SQL["survey_hour"],
        job_type=HOURLY,
        start=window.start,
        until=window.end,
        most=sharding.SHARD_EVENTS_TARGET,
        **bounds(shard),
    )
    return Survey(**row)


def hour_sizes(db: Database, window: Window, survey: Survey) -> list[Size]:
    """The organisations' events of a surveyed hour; none at all where one run can take them."""
    if survey.events <= sharding.SHARD_EVENTS_TARGET:
        return []
    hours = [*survey.hours, window.start]
    return _sizes(
        db.rows(
            SQL["hour_sizes"],
            hours=hours,
            start=window.start,
            until=window.end,
            most=sharding.SHARD_EVENTS_TARGET,
        )
    )


def book_hour(
    db: Database,
    window: Window,
    survey: Survey | None = None,
    shard: Shard | None = None,
    anew: bool = False,
) -> Booked:
    """Book the events of an hour, and late ones, into their days. Any number of times.

    `anew` trusts nothing that is there: no cell of the hour, not even where its events are the ones
    that were booked, and no row of a day that has no cell.
    """
    survey = survey or survey_hour(db, window, shard)
    lock_days(db, HOURLY, survey.days, window, shard, survey.unbegun)
    hours, cells = list(survey.hours), 0
    [fresh] = db.rows(SQL["is_fresh"], start=window.start, **bounds(shard))
    if not fresh["is_fresh"]:
        hours.append(window.start)
    if hours or survey.has_late:
        cells += _book_changes(db, window, hours, survey.days, shard, anew)
    if fresh["is_fresh"]:
        cells += _book_fresh_hour(db, window, survey, shard)
    days = {"days": survey.days, "cleared": survey.days if anew else survey.unbegun}
    [done] = db.rows(SQL["set_days"], start=window.start, **days, **bounds(shard))
    return Booked(done["rows_read"], cells + done["rows_written"], _texts(done["refused"]))


def _book_fresh_hour(db: Database, window: Window, survey: Survey, shard: Shard | None) -> int:
    """How many cells were written. Events of the hour that came after its end are booked besides:
    the run itself is late, then."""
    bounded = {"start": window.start, "until": window.end, **bounds(shard)}
    db.execute(SQL["prefer_hashing"])
    [booked] = db.rows(SQL["book_fresh_hour"], **bounded)
    cells: int = booked["cells"]
    if booked["events"] < survey.own_events:
        cells += _book_changes(db, window, [window.start], survey.days, shard)
    return cells


def _book_changes(
    db: Database,
    window: Window,
    hours: list[datetime],
    days: list[date],
    shard: Shard | None,
    anew: bool = False,
) -> int:
    bounded = {"start": window.start, "until": window.end, **bounds(shard)}
    return db.execute(SQL["book_changes"], hours=hours, days=days, anew=anew, **bounded)


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


def lock_days(
    db: Database,
    job_type: str,
    days: list[date],
    window: Window,
    shard: Shard | None,
    unbegun: Sequence[date] = (),
) -> bool:
    """Wait for one's turn at the days; it ends with the transaction. True if no shard of the window
    can have them at the same time.

    Whoever waited sees what the ones before have written, so no older count overwrites a newer one.
    The shards of one window share its days; where another window has cut in they too go one by one.
    `unbegun` are those that nobody has booked: a shard does not book them for all.
    """
    if shard is None:
        _take_days(db, job_type, days, unbegun=list(unbegun))
        return True
    if _share_days(db, job_type, days, str(window)):
        return False
    begun = {"is_shard": True, "begun_by": "infinity", "unbegun": list(unbegun)}
    _take_days(db, job_type, days, **begun)
    return True


def leave_days_to_shards(
    db: Database, job_type: str, days: list[date], window: Window, unbegun: Sequence[date] = ()
) -> None:
    """Have the days locked once more by the window, for all of its shards. Until those are done,
    `unbegun` count as unbooked for every run."""
    split = {"shared_by": str(window), "begun_by": window.start, "unbegun": list(unbegun)}
    _take_days(db, job_type, days, **split)


def days_of(*spans: Window) -> list[date]:
    """The calendar days (UTC) that the spans touch, each once, oldest first."""
    days: set[date] = set()
    for span in spans:
        first, last = span.start.date(), (span.end - timedelta(microseconds=1)).date()
        days.update(first + timedelta(days=n) for n in range((last - first).days + 1))
    return sorted(days)


def _take_days(db: Database, job_type: str, days: list[date], **split: Any) -> None:
    whole: dict[str, Any] = {"is_shard": False, "shared_by": None, "begun_by": None, "unbegun": []}
    db.execute(SQL["take_days"], job_type=job_type, days=days, **(whole | split))


def _share_days(db: Database, job_type: str, days: list[date], shared_by: str) -> bool:
    """True with a share in every day, or False with none: half a share could end in a deadlock."""
    db.execute("savepoint before_sharing")
    shared = db.rows(SQL["share_days"], job_type=job_type, days=days, shared_by=shared_by)
    if len(shared) == len(days):
        return True
    db.execute("rollback to savepoint before_sharing")
    return False


def _sizes(rows: Iterable[dict[str, Any]]) -> list[Size]:
    return [Size(**row) for row in rows]


def _texts(organizations: Iterable[UUID] | None) -> list[str]:
    return [str(organization) for organization in organizations or []]
