"""The last hour of a full day, compared with a recount of the day and the first hour of an empty
one.
"""

from __future__ import annotations

from statistics import median

from analytics.jobs.aggregate_hourly import AggregateHourly
from bench.generate import Spread
from bench.measure import Result, alternate
from bench.world import DAY, HOUR, MONTH_START, Jobs, World, book_hours, forget_hour, jobs, plain
from shared.windows import Window

RATIO_MAX = 1.6
LAST = Window(MONTH_START + 23 * HOUR, MONTH_START + DAY)
FULL_DAY = Window(MONTH_START, MONTH_START + DAY)
FIRST = Window(MONTH_START + 2 * DAY, MONTH_START + 2 * DAY + HOUR)


def run(world: World) -> list[Result]:
    """Compare hours with equal numbers of events; the other hours of the full day are booked."""
    in_the_hour = world.events(100_000)
    spreads = [
        Spread(world.events(4_000_000) - in_the_hour, MONTH_START, 23 * HOUR),
        Spread(in_the_hour, LAST.start, HOUR),
        Spread(in_the_hour, FIRST.start, HOUR),
    ]
    url = world.database("flat", spreads)
    book_hours(url, LAST.start, 23)
    with jobs(url) as worker:
        measured = alternate({
            "first": lambda: hour_ms(worker, FIRST),
            "last": lambda: hour_ms(worker, LAST),
            "day": lambda: plain(worker.db, "plain_hour", FULL_DAY, "event_aggregates"),
        })  # fmt: skip
    last, day, first = measured["last"], measured["day"], measured["first"]
    times = f"the recount takes {median(day) / median(last):.0f} times as long"
    return [
        Result("last hour of a full day / the plain recount of the day", last, day, note=times),
        Result("last hour of a full day / first of an empty one", last, first, RATIO_MAX),
    ]


def hour_ms(worker: Jobs, hour: Window) -> float:
    """Run the hour as if it had just ended, in milliseconds."""
    forget_hour(worker.db, hour)
    return worker.run(AggregateHourly.model_validate({"scheduledFor": hour.end}))
