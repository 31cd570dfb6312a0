"""Keep the daily rollups exact, hour by hour."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from analytics import sharding, store
from shared.jobs import Job
from shared.messages import WindowMessage
from shared.outcome import Done, Sharded
from shared.run import Run
from shared.windows import Schedule, hour_before


class AggregateHourly(WindowMessage):
    type: Literal["analytics.aggregate-hourly"] = "analytics.aggregate-hourly"


async def aggregate_hourly(run: Run) -> Done | Sharded:
    """Count the hour's events, and late ones, into the daily rollups of their days."""
    db = run.ports.db
    survey = store.survey_hour(db, run.window, run.shard)
    if run.shard is None and (shards := sharding.plan(store.hour_sizes(db, run.window, survey))):
        store.leave_days_to_shards(db, store.HOURLY, survey.days, run.window, survey.unbegun)
        return Sharded(shards)
    anew = run.trigger == "backfill"  # somebody has seen a difference
    booked = store.book_hour(db, run.window, survey, run.shard, anew)
    for organization_id in booked.refused:
        run.ports.log(
            "event.refused",
            level="warning",
            reason="reserved_prefix",
            organization_id=organization_id,
        )
    return Done(booked.rows_read, booked.rows_written)


SCHEDULE = Schedule("0 * * * *", window_of=hour_before, grace=timedelta(minutes=30))
JOB = Job(message=AggregateHourly, handler=aggregate_hourly, schedule=SCHEDULE)
