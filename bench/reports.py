"""The daily report and the monthly usage, compared with their plain SQL."""

from __future__ import annotations

from analytics.jobs.generate_daily_reports import GenerateDailyReports
from analytics.jobs.generate_monthly_usage import GenerateMonthlyUsage
from bench.measure import Result, alternate
from bench.world import BUSY_DAY, DAY, HOUR, MONTH, Jobs, World, book_hours, jobs, plain
from shared.windows import Window

RATIO_MAX = 1.3
# The job also sets the two previous days, for late events, and so does the reference.
REPORTED = Window(BUSY_DAY.start - 2 * DAY, BUSY_DAY.end)


def run(world: World) -> list[Result]:
    """Run both over the 5 million events; the month's hours are booked."""
    url = world.month()
    book_hours(url, MONTH.end, 31 * 24)
    with jobs(url) as worker:
        measured = alternate({
            "plain days": lambda: plain(worker.db, "plain_days", REPORTED, "campaign_daily_stats"),
            "days": lambda: daily_ms(worker),
            "plain month": lambda: plain(worker.db, "plain_month", MONTH, "event_aggregates"),
            "month": lambda: monthly_ms(worker),
        }, rounds=5)  # fmt: skip
        note = f"isolate {worker.memory_mb():.0f} MB"
    return [
        Result("daily report", measured["days"], measured["plain days"], RATIO_MAX, note),
        Result("monthly usage", measured["month"], measured["plain month"], RATIO_MAX),
    ]


def daily_ms(worker: Jobs) -> float:
    """Run the report of three days from scratch, in milliseconds."""
    worker.db.run("truncate analytics.campaign_daily_stats")
    return worker.run(
        GenerateDailyReports.model_validate({"scheduledFor": BUSY_DAY.end + 2 * HOUR})
    )


def monthly_ms(worker: Jobs) -> float:
    """Compute the month's rows from scratch, in milliseconds."""
    worker.db.run("delete from analytics.event_aggregates where event_type like 'monthly:%'")
    return worker.run(GenerateMonthlyUsage.model_validate({"scheduledFor": MONTH.end + 3 * HOUR}))
