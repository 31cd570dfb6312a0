"""Report what became of each campaign, day by day."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from analytics import figures, store
from analytics.cutting import shards_of
from shared.jobs import Job
from shared.messages import WindowMessage
from shared.outcome import Done, Sharded
from shared.run import Run
from shared.windows import Schedule, Window, day_before

# Late events change the days before: these are counted again. Older days wait for a backfill.
RECOUNTED_BEFORE = timedelta(days=2)


class GenerateDailyReports(WindowMessage):
    type: Literal["analytics.generate-daily-reports"] = "analytics.generate-daily-reports"


async def generate_daily_reports(run: Run) -> Done | Sharded:
    """Set each campaign's figures of the day, and of the two days before for late events."""
    db = run.ports.db
    span = Window(run.window.start - RECOUNTED_BEFORE, run.window.end)
    if run.shard is None and (shards := shards_of(db, span, by_day=True)):
        days = store.days_of(span)
        store.leave_days_to_shards(db, store.DAILY, days, run.window)
        figures.void_counts(db, store.DAILY, days, run.window)
        return Sharded(shards)
    reported = figures.report_days(db, span, run.window, run.shard, run.before_retention)
    for organization_id, count in reported.noticed.items():
        run.ports.log(
            "campaign.passed_over",
            reason="source_is_no_uuid",
            organization_id=organization_id,
            count=count,
        )
    figures.log_before_retention(run, reported)
    return Done(reported.rows_read, reported.rows_written)


JOB = Job(
    message=GenerateDailyReports,
    handler=generate_daily_reports,
    schedule=Schedule("0 2 * * *", window_of=day_before, grace=timedelta(hours=2)),
)
