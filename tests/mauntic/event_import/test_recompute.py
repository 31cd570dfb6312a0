"""Which commands follow an import. The dates are computed by hand."""

from __future__ import annotations

from datetime import date

from mauntic.event_import.recompute import commands

TODAY = date(2026, 3, 10)
REPORTS = "mauntic backfill analytics.generate-daily-reports"
USAGE = "mauntic backfill analytics.generate-monthly-usage"
HOURLY = "mauntic backfill analytics.aggregate-hourly"


def test_days_that_the_jobs_find_need_nothing() -> None:
    """The report of 10 March, made on the 11th, counts the 8th, 9th and 10th."""
    recent = [date(2026, 3, 8), date(2026, 3, 9), date(2026, 3, 10)]
    assert commands(recent, recent, date.min, TODAY) == []


def test_reports_of_closed_days_and_usage_of_closed_months() -> None:
    days = [date(2025, 11, 30), date(2025, 12, 24), date(2026, 3, 7)]
    assert commands(days, days, date.min, TODAY) == [
        f"{REPORTS} --from 2025-11-30 --to 2025-12-25 --only all",
        f"{REPORTS} --from 2026-03-07 --to 2026-03-08 --only all",
        f"{USAGE} --from 2025-11-01 --to 2026-01-01 --only all",
    ]


def test_events_without_a_campaign_change_no_report() -> None:
    assert commands([date(2026, 2, 1)], [], date.min, TODAY) == [
        f"{USAGE} --from 2026-02-01 --to 2026-03-01 --only all"
    ]


def test_days_before_the_retained_period_are_never_joined_and_only_looked_at() -> None:
    days = [date(2025, 6, 1), date(2025, 6, 2), date(2025, 6, 9), date(2026, 1, 5)]
    early = "--only all --before-retention --dry-run"
    assert commands(days, [date(2025, 6, 9)], date(2026, 1, 1), TODAY) == [
        f"{HOURLY} --from 2025-06-01 --to 2025-06-03 {early}",
        f"{HOURLY} --from 2025-06-09 --to 2025-06-10 {early}",
        f"{REPORTS} --from 2025-06-09 --to 2025-06-10 {early}",
        f"{USAGE} --from 2026-01-01 --to 2026-02-01 --only all",
    ]
