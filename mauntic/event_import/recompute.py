"""What must be recomputed after an import, and the commands for it.

Rollups follow by themselves: the events are late, and the next run of the hourly job counts them.
Reports and usage of closed periods are recomputed on request, usage once the rollups are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

DAY = timedelta(days=1)
# The next daily report counts the days since then; a report also recounts two earlier days.
RECOUNTED_DAYS = 3
GAP_DAYS_MAX = 31  # one range covers days that are closer


@dataclass(frozen=True)
class Range:
    """Days that one command covers, without `end`."""

    start: date
    end: date


def commands(
    days: Iterable[date], campaign_days: Iterable[date], retained_since: date, today: date
) -> list[str]:
    """Return the commands to run, in their order.

    Those for days before the retained period are dry runs, and cover no other day: rows of days
    whose events are gone would become 0.
    """
    days, campaign_days = set(days), set(campaign_days)
    late = {day for day in days if day >= retained_since}
    closed = {day for day in campaign_days & late if day <= today - RECOUNTED_DAYS * DAY}
    return [
        *_early("analytics.aggregate-hourly", days - late),
        *_early("analytics.generate-daily-reports", campaign_days - late),
        *_backfills("analytics.generate-daily-reports", ranges(closed)),
        *_backfills("analytics.generate-monthly-usage", _closed_months(late, today)),
    ]


def ranges(days: Iterable[date], gap_days_max: int = GAP_DAYS_MAX) -> Iterator[Range]:
    """Yield ranges that cover the days.

    >>> found = ranges([date(2026, 1, 30), date(2026, 3, 1), date(2026, 5, 1)])
    >>> [str(span.end) for span in found]
    ['2026-03-02', '2026-05-02']
    """
    start = last = None
    for day in sorted(set(days)):
        if start and last and day - last > gap_days_max * DAY:
            yield Range(start, last + DAY)
            start = None
        start, last = start or day, day
    if start and last:
        yield Range(start, last + DAY)


def _closed_months(days: Iterable[date], today: date) -> Iterator[Range]:
    months = {day.replace(day=1) for day in days if day < today.replace(day=1)}
    for span in ranges(months):
        yield Range(span.start, _next_month(span.end - DAY))


def _next_month(day: date) -> date:
    return (day.replace(day=1) + 32 * DAY).replace(day=1)


def _early(job: str, days: Iterable[date]) -> Iterator[str]:
    for command in _backfills(job, ranges(days, gap_days_max=1)):
        yield f"{command} --before-retention --dry-run"


def _backfills(job: str, spans: Iterable[Range]) -> Iterator[str]:
    for span in spans:
        yield f"mauntic backfill {job} --from {span.start} --to {span.end} --only all"
