"""Keep the daily rollups exact, hour by hour."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from analytics.store import hours
from analytics.store.hours import Hour
from shared import Done, Run, Schedule, Sharded, WindowJob, WindowMessage, hour_before


class AggregateHourly(WindowMessage):
    type: Literal["analytics.aggregate-hourly"] = "analytics.aggregate-hourly"


async def aggregate_hourly(run: Run) -> Done | Sharded:
    """Count the events of the hour, and late events, into the daily rollups of their days.

    SQL: `hour_survey.sql` (`survey_hour`), `aggregate_hourly.sql` (`count_hour`, `find_disturbed`,
    `book_cells`, `book_fresh_hour`, `set_days`).
    """
    db, log = run.ports.db, run.ports.log
    is_backfill = run.trigger == "backfill"  # an operator has found a difference
    hour = Hour(run.window, run.shard, recount=is_backfill, before_retention=run.before_retention)
    before_retention = hours.survey(db, hour)
    size = hours.size(db)
    if run.shard is None and (shards := hours.shards(db, size)):
        hours.leave_to_shards(db)
        return Sharded(shards)
    booked = hours.book(db, hour, size)
    for organization_id, count in before_retention.items():
        log(
            "event.before_retention",
            level="warning",
            organization_id=organization_id,
            count=count,
        )
    for organization_id in booked.refused:
        log(
            "event.refused",
            level="warning",
            reason="reserved_prefix",
            organization_id=organization_id,
        )
    return Done(booked.rows_read, booked.rows_written)


SCHEDULE = Schedule("0 * * * *", window_of=hour_before, grace=timedelta(minutes=30))
JOB = WindowJob(message=AggregateHourly, handler=aggregate_hourly, schedule=SCHEDULE)
