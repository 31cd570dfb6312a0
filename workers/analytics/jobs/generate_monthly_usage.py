"""Sum each organization's usage of a month."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from analytics.jobs.aggregate_hourly import SCHEDULE as HOURS
from analytics.store import figures
from analytics.store.sampled_shards import shards_of
from shared import (
    DependencyNotReady,
    Done,
    Run,
    Schedule,
    Sharded,
    WindowJob,
    WindowMessage,
    month_before,
)


class GenerateMonthlyUsage(WindowMessage):
    type: Literal["analytics.generate-monthly-usage"] = "analytics.generate-monthly-usage"


async def generate_monthly_usage(run: Run) -> Done | Sharded:
    """Sum the month's daily rollups, and count its distinct contacts, by organization and type.

    The rollups must be complete: while hours of the month are in progress, or a tick will enqueue
    them, the run waits (DependencyNotReady). Distinct contacts of days do not add up, so they are
    counted from the events. An event that is not in the rollups yet counts in neither figure: a row
    never has more contacts than events.

    SQL: `generate_monthly_usage.sql` (`unbooked_hours`, `set_monthly_usage`).
    """
    db = run.ports.db
    caught_up_from = HOURS.catch_up_start(run.ports.clock())
    if unbooked := figures.unbooked_hours(db, run.window, caught_up_from):
        raise DependencyNotReady(f"{unbooked} hours of the month are still to be booked")
    if run.shard is None and (shards := shards_of(db, run.window)):
        figures.void_counts(db, figures.MONTHLY, [run.window.start.date()], run.window)
        return Sharded(shards)
    usage = figures.set_monthly_usage(db, run.window, run.shard, run.before_retention)
    for organization_id, count in usage.noticed.items():
        run.ports.log(
            "usage.differs",
            level="warning",
            reason="rollups_and_events",
            organization_id=organization_id,
            count=count,
        )
    figures.log_before_retention(run, usage)
    return Done(usage.rows_read, usage.rows_written)


SCHEDULE = Schedule("0 3 1 * *", window_of=month_before, grace=timedelta(hours=6))
JOB = WindowJob(
    message=GenerateMonthlyUsage,
    handler=generate_monthly_usage,
    schedule=SCHEDULE,
    aliases=("analytics.monthly-usage-summary",),
)
