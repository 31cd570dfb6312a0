"""Days before the retained period: list what a backfill would change, and check that it may.

`ops.retention` declares the day from which the events of an organization are complete. Earlier rows
stay unchanged, because their events are gone. An operator who wants to set them from the remaining
events lists the changes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mauntic.errors import OperatorError
from mauntic.operations.backfill import Only
from mauntic.operations.statements import SQL
from shared.jobs import Job
from shared.ports import Database, Row
from shared.windows import Window

OPTION = "--before-retention"
HOURS_A_DAY = 24


@dataclass(frozen=True)
class Listing:
    """The statement that lists a job's changes, and whether it takes days or windows."""

    statement: str
    by_day: bool = False


LISTINGS = {
    "analytics.aggregate-hourly": Listing("rollups_before_retention", by_day=True),
    "analytics.generate-daily-reports": Listing("campaigns_before_retention"),
    "analytics.generate-monthly-usage": Listing("usage_before_retention"),
}


def check_allowed(job: Job, windows: Sequence[Window], only: Only) -> None:
    """Refuse other jobs, parts of a day, and parts of the range."""
    if job.type not in LISTINGS:
        jobs = ", ".join(LISTINGS)
        raise OperatorError(f"{job.type} does not support {OPTION}, only: {jobs}.")
    if only != "all":
        raise OperatorError(f"{OPTION} rewrites existing rows: also pass --only all.")
    spans = _spans(job, windows)
    if LISTINGS[job.type].by_day and len(windows) != HOURS_A_DAY * len(spans):
        raise OperatorError(
            f"{OPTION} writes whole days: pass days without a time as --from and --to."
        )


def changes(
    db: Database,
    job: Job,
    windows: Sequence[Window],
    advance: Callable[[int], None] = lambda spans: None,
) -> list[Row]:
    """Return by organization and day how many rows would change and how many become 0, with sums.

    Runs one statement per day or month.
    """
    found: list[Row] = []
    for span in _spans(job, windows):
        found += db.rows(SQL[LISTINGS[job.type].statement], start=span.start, end=span.end)
        advance(1)
    return found


def _spans(job: Job, windows: Sequence[Window]) -> list[Window]:
    if not LISTINGS[job.type].by_day:
        return list(windows)
    return list(dict.fromkeys(_day_of(window.start) for window in windows))


def _day_of(at: datetime) -> Window:
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Window(midnight, midnight + timedelta(days=1))
