"""The hourly aggregation, compared with the plain statement and with its own repetition."""

from __future__ import annotations

from analytics.jobs.aggregate_hourly import AggregateHourly
from bench.measure import Result, alternate
from bench.world import BUSY_HOUR, Jobs, World, book_hours, forget_hour, jobs, plain

RATIO_MAX = 1.5
REPLAY_MAX = 0.5


def run(world: World) -> list[Result]:
    """Run an hour of 100,000 events within 5 million; its day and the previous day are booked."""
    url = world.month()
    book_hours(url, BUSY_HOUR.start, BUSY_HOUR.start.hour + 24)
    with jobs(url) as worker:
        measured = alternate({
            "reference": lambda: plain(worker.db, "plain_hour", BUSY_HOUR, "event_aggregates"),
            "first": lambda: first_run(worker),
            "replay": lambda: worker.run(message()),
        })  # fmt: skip
        note = f"isolate {worker.memory_mb():.0f} MB"
    return [
        Result("hourly, message to ack", measured["first"], measured["reference"], RATIO_MAX, note),
        Result("replay of it, unchanged", measured["replay"], measured["first"], REPLAY_MAX),
    ]


def message() -> AggregateHourly:
    """Return the message of the tick that ends the busy hour."""
    return AggregateHourly.model_validate({"scheduledFor": BUSY_HOUR.end})


def first_run(worker: Jobs) -> float:
    """Run the hour as if it had just ended, in milliseconds."""
    forget_hour(worker.db, BUSY_HOUR)
    return worker.run(message())
