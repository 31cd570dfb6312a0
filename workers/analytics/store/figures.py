"""Count the figures of campaigns and months, completely or piece by piece, and set their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from analytics.store import statements
from analytics.store.statements import DAILY, HOURLY, SQL
from shared import Run
from shared.ledger.shards import contact_bounds
from shared.messages import Shard
from shared.ports import Database, Row
from shared.windows import Window

MONTHLY = "analytics.generate-monthly-usage"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Reported:
    """The result of a run. `noticed` has the events per organization that its figures leave out or
    contradict; `before_retention` those of days before its retained period.
    """

    rows_read: int
    rows_written: int
    noticed: Mapping[str, int]
    before_retention: Mapping[str, int]


@dataclass(frozen=True)
class Piece:
    """A shard with a range of the contacts of one organization: its counts are a part of the rows
    of one day or month.
    """

    job_type: str
    window: Window
    shard: Shard
    day: date

    @property
    def key(self) -> dict[str, Any]:
        return {
            "job_type": self.job_type,
            "window_start": self.window.start,
            "organization_id": self.shard.first_organization,
            "date": self.day,
            "split": self.shard.run,
        }


def report_days(
    db: Database,
    span: Window,
    window: Window,
    shard: Shard | None = None,
    before_retention: bool = False,
) -> Reported:
    """Set the campaigns' rows of the days of `span`, or of the shard's day, for `window`.

    `before_retention` writes the day of `window` even if its events are no longer complete.
    """
    if shard and shard.day:
        span = _day(shard.day)
    days = statements.days_of(span)
    if statements.lock_days(db, DAILY, days, window, shard):
        void_counts(db, DAILY, days, window, shard)
    parameters = {
        "start": span.start,
        "end": span.end,
        "days": days,
        "unretained_day": window.start.date() if before_retention else None,
        **contact_bounds(shard),
    }
    if shard and shard.pieces and shard.day:
        piece = Piece(DAILY, window, shard, shard.day)
        return _report_piece(db, piece, "count_campaigns", "add_up_campaigns", parameters)
    return _reported(db.rows(SQL["report_days"], **parameters))


def set_monthly_usage(
    db: Database, window: Window, shard: Shard | None = None, before_retention: bool = False
) -> Reported:
    """Set the `monthly:` rows of a month. Can be repeated."""
    first_day = window.start.date()
    parameters = {
        "start": window.start,
        "end": window.end,
        "first_day": first_day,
        "until_day": window.end.date(),
        "before_retention": before_retention,
        **contact_bounds(shard),
    }
    if shard and shard.pieces:
        piece = Piece(MONTHLY, window, shard, first_day)
        return _report_piece(db, piece, "count_usage", "add_up_usage", parameters)
    return _reported(db.rows(SQL["set_monthly_usage"], **parameters))


def void_counts(
    db: Database, job_type: str, days: list[date], window: Window, shard: Shard | None = None
) -> None:
    """Delete counts of the days that shards have not added up: this run sets the rows from newer
    counts. A shard keeps the counts of its own split.
    """
    split = shard.run if shard else -1
    db.execute(
        SQL["void_counts"], job_type=job_type, days=days, window_start=window.start, split=split
    )


def log_before_retention(run: Run, reported: Reported) -> None:
    """Log the events that were left out because they are older than the retained period."""
    for organization_id, count in reported.before_retention.items():
        run.ports.log(
            "event.before_retention",
            level="warning",
            organization_id=organization_id,
            count=count,
        )


def is_summed(db: Database, month: Window) -> bool:
    """Return whether a month was summed, by a schedule that is not paused."""
    [row] = db.rows(SQL["is_summed"], job_type=MONTHLY, start=month.start, end=month.end)
    return bool(row["is_summed"])


def unbooked_hours(db: Database, window: Window, caught_up_from: datetime) -> int:
    """Return the number of hours of the window that will still be booked: queued, in progress, to
    be retried, or not in the ledger. Ticks enqueue windows again from `caught_up_from` on.
    """
    [row] = db.rows(
        SQL["unbooked_hours"],
        job_type=HOURLY,
        start=window.start,
        end=window.end,
        caught_up_from=caught_up_from,
    )
    return int(row["count"])


def _report_piece(
    db: Database, piece: Piece, count: str, add_up: str, parameters: dict[str, Any]
) -> Reported:
    """Count a piece. The last piece of an organization adds up all pieces and sets the rows.

    Counting comes first, so that pieces wait for each other only for the sum.
    """
    key, number = piece.key, piece.shard.index
    own = {name: key[name] for name in ("job_type", "window_start", "split")}
    db.execute(SQL["drop_piece"], **key, piece=number)
    counted = db.rows(
        SQL[count], **_only(SQL[count], parameters | own | {"day": piece.day, "piece": number})
    )
    rows_read = sum(row["total"] or 0 for row in counted[:1])
    db.execute(SQL["hold_pieces"], **key)
    [complete] = db.rows(SQL["counted_pieces"], **key)
    if complete["count"] != piece.shard.pieces:
        return Reported(rows_read, 0, {}, {})
    summed = _reported(db.rows(SQL[add_up], **_only(SQL[add_up], parameters | own)))
    del key["split"]
    db.execute(SQL["drop_pieces"], **key)
    return Reported(rows_read, summed.rows_written, summed.noticed, summed.before_retention)


def _only(sql: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if f":{name}" in sql}


def _reported(rows: list[Row]) -> Reported:
    [done] = rows
    organizations = done["organizations"] or []
    return Reported(
        done["rows_read"],
        done["rows_written"],
        _positive(organizations, done["noticed"]),
        _positive(organizations, done["before_retention"]),
    )


def _positive(organizations: list[UUID], counts: list[int] | None) -> dict[str, int]:
    return {
        str(organization): count
        for organization, count in zip(organizations, counts or [], strict=True)
        if count > 0
    }


def _day(day: date) -> Window:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Window(start, start + DAY)
