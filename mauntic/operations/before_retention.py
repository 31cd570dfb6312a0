"""Days before the retained period: what a backfill would change there, and whether it may.

`ops.retention` declares since which day the events of an organization are complete. Earlier rows
are kept as they are, because their events are gone. An operator who wants them to follow the events
that are left lists the changes first.
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
    """How to list what a job would change: the statement, and whether it takes the windows' days or
    the windows themselves."""

    statement: str
    by_day: bool = False


LISTINGS = {
    "analytics.aggregate-hourly": Listing("rollups_before_retention", by_day=True),
    "analytics.generate-daily-reports": Listing("campaigns_before_retention"),
    "analytics.generate-monthly-usage": Listing("usage_before_retention"),
}


def check_allowed(job: Job, windows: Sequence[Window], only: Only) -> None:
    """Refuse what the option cannot mean: another job, a part of a day, or a part of the range."""
    if job.type not in LISTINGS:
        jobs = ", ".join(LISTINGS)
        raise OperatorError(f"{job.type} writes no days of events: {OPTION} is for {jobs}.")
    if only != "all":
        raise OperatorError(f"{OPTION} writes what was written before: say --only all too.")
    spans = _spans(job, windows)
    if LISTINGS[job.type].by_day and len(windows) != HOURS_A_DAY * len(spans):
        raise OperatorError(
            f"{OPTION} writes whole days: let --from and --to be days without a time."
        )


def changes(
    db: Database,
    job: Job,
    windows: Sequence[Window],
    advance: Callable[[int], None] = lambda spans: None,
) -> list[Row]:
    """The rows that would change, by organization and day: how many, how many of them become 0, and
    the sums of their counts now and then. One statement a day, or month."""
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
