"""Compute the daily figures of each campaign."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from analytics.jobs.generate_monthly_usage import SCHEDULE as MONTH
from analytics.jobs.generate_monthly_usage import GenerateMonthlyUsage
from analytics.store import figures, statements
from analytics.store.sampled_shards import shards_of
from shared import Done, Run, Schedule, Sharded, Window, WindowJob, WindowMessage, day_before

# Late events change the previous days, so these are counted again. Older days need a backfill.
RECOUNTED_BEFORE = timedelta(days=2)


class GenerateDailyReports(WindowMessage):
    type: Literal["analytics.generate-daily-reports"] = "analytics.generate-daily-reports"


async def generate_daily_reports(run: Run) -> Done | Sharded:
    """Set each campaign's figures of the day, and of the two previous days for late events.

    The run of a month's first day requests the previous month's usage again: its last events may
    change for a day after it was summed.

    SQL: `generate_daily_reports.sql` (`report_days`).
    """
    db = run.ports.db
    if run.shard is None and run.window.start.day == 1:
        await _sum_again(run)
    span = Window(run.window.start - RECOUNTED_BEFORE, run.window.end)
    if run.shard is None and (shards := shards_of(db, span, by_day=True)):
        days = statements.days_of(span)
        statements.leave_days_to_shards(db, statements.DAILY, days, run.window)
        figures.void_counts(db, statements.DAILY, days, run.window)
        return Sharded(shards)
    reported = figures.report_days(db, span, run.window, run.shard, run.before_retention)
    for organization_id, count in reported.noticed.items():
        run.ports.log(
            "campaign.invalid_source",
            reason="source_is_no_uuid",
            organization_id=organization_id,
            count=count,
        )
    figures.log_before_retention(run, reported)
    return Done(reported.rows_read, reported.rows_written)


async def _sum_again(run: Run) -> None:
    """Send the message of the month that ended at the start of the day."""
    month = MONTH.window_of(run.window.start)
    if figures.is_summed(run.ports.db, month):
        again = GenerateMonthlyUsage(scheduled_for=MONTH.planned_for(month))
        await run.ports.queue.send([again.body()])


JOB = WindowJob(
    message=GenerateDailyReports,
    handler=generate_daily_reports,
    schedule=Schedule("0 2 * * *", window_of=day_before, grace=timedelta(hours=2)),
)
