"""Windows of time, derived from planned times and never from the clock. Pure.

A window is half open, `[start, end)`, in UTC. `WindowOf` maps a planned time to the last window
that is complete by then. Each planned time of a schedule means its own window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise, takewhile

from cronsim import CronSim

CATCH_UP_WINDOWS_MAX = 48
CATCH_UP_AGE_MAX = timedelta(days=14)


@dataclass(frozen=True, order=True)
class Window:
    """`[start, end)`, both aware and in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.utcoffset() != timedelta(0) or self.end.utcoffset() != timedelta(0):
            raise ValueError(f"a window is in UTC, not {self.start} to {self.end}")
        if self.start >= self.end:
            raise ValueError(f"a window ends after it starts, unlike {self.start} to {self.end}")

    def __str__(self) -> str:
        return f"{_iso(self.start)}/{_iso(self.end)}"


WindowOf = Callable[[datetime], Window]


def hour_before(planned: datetime) -> Window:
    """Return the last complete hour.

    >>> str(hour_before(datetime(2026, 3, 1, 0, 0, 30, tzinfo=UTC)))
    '2026-02-28T23:00Z/2026-03-01T00:00Z'
    """
    end = planned.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return Window(end - timedelta(hours=1), end)


def quarter_hour_before(planned: datetime) -> Window:
    """Return the last complete quarter of an hour.

    >>> str(quarter_hour_before(datetime(2026, 3, 1, 0, 44, tzinfo=UTC)))
    '2026-03-01T00:15Z/2026-03-01T00:30Z'
    """
    return _minutes_before(planned, 15)


def five_minutes_before(planned: datetime) -> Window:
    """Return the last complete five minutes.

    >>> str(five_minutes_before(datetime(2026, 3, 1, 0, 4, 59, tzinfo=UTC)))
    '2026-02-28T23:55Z/2026-03-01T00:00Z'
    """
    return _minutes_before(planned, 5)


def minute_before(planned: datetime) -> Window:
    """Return the last complete minute.

    >>> str(minute_before(datetime(2026, 3, 1, 0, 0, 30, tzinfo=UTC)))
    '2026-02-28T23:59Z/2026-03-01T00:00Z'
    """
    return _minutes_before(planned, 1)


def _minutes_before(planned: datetime, length: int) -> Window:
    """Return the last complete window of this many minutes, a divisor of an hour."""
    planned = planned.astimezone(UTC)
    end = planned.replace(minute=planned.minute // length * length, second=0, microsecond=0)
    return Window(end - timedelta(minutes=length), end)


def day_before(planned: datetime) -> Window:
    """Return the last complete calendar day.

    >>> str(day_before(datetime(2026, 3, 1, 2, tzinfo=UTC)))
    '2026-02-28T00:00Z/2026-03-01T00:00Z'
    """
    end = planned.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Window(end - timedelta(days=1), end)


def month_before(planned: datetime) -> Window:
    """Return the last complete calendar month.

    >>> str(month_before(datetime(2026, 3, 1, 3, tzinfo=UTC)))
    '2026-02-01T00:00Z/2026-03-01T00:00Z'
    """
    end = planned.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Window((end - timedelta(days=1)).replace(day=1), end)


@dataclass(frozen=True)
class Schedule:
    """The planned times of a job, and the window of each.

    `cron` is in UTC, with the five fields of Cron Triggers. `grace` is the time after its planned
    time in which a window may be unfinished before it is overdue. `catch_up` is the number of
    newest missed windows that a tick enqueues. With 1, for a job that acts on the current state,
    older windows are skipped without a report, and a window is enqueued only if no earlier one is
    in progress.

    The windows of consecutive planned times adjoin. If they do not on purpose, `gap` explains which
    time belongs to no window, and why.
    """

    cron: str
    window_of: WindowOf
    grace: timedelta
    catch_up: int = CATCH_UP_WINDOWS_MAX
    gap: str = ""

    def __post_init__(self) -> None:
        if self.grace <= timedelta(0):
            raise ValueError("a grace is longer than nothing")
        gap = first_gap(self.cron, self.window_of)  # this also refuses an invalid cron
        if gap and not self.gap:
            raise ValueError(f"{gap}: choose a cron and windows that fit, or name the gap")
        if self.gap and not gap:
            raise ValueError(f"the windows of {self.cron} adjoin: there is no gap to name")
        if not 1 <= self.catch_up <= CATCH_UP_WINDOWS_MAX:
            raise ValueError(
                f"a schedule catches up 1 to {CATCH_UP_WINDOWS_MAX} windows, not {self.catch_up}"
            )

    @property
    def is_about_now(self) -> bool:
        """True if the job acts on the current state: its newest window does all the work."""
        return self.catch_up == 1

    def last_fire(self, now: datetime) -> datetime:
        """Return the newest planned time that is not after `now`."""
        just_after = now.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        return _last_fire(self.cron, just_after)

    def next_fire(self, now: datetime) -> datetime:
        """Return the first planned time after `now`."""
        return next_fire(self.cron, now.astimezone(UTC))

    def planned_for(self, window: Window) -> datetime:
        """Return the planned time of a window: the first fire at or after its end."""
        return self.next_fire(window.end - timedelta(seconds=1))

    def newest_due(self, now: datetime) -> Window:
        """Return the newest window that should have been enqueued by `now`."""
        return self.window_of(self.last_fire(now))

    def is_planned(self, now: datetime) -> bool:
        """Return whether `now` is a planned time, to the minute."""
        return now - self.last_fire(now) < timedelta(minutes=1)

    def beginning(self, now: datetime) -> datetime:
        """Return the start of a schedule's history if the first tick of its worker is `now`.

        Windows that were due before a deployment are not missed: only a tick's own window counts.
        """
        newest = self.newest_due(now)
        return newest.start if self.is_planned(now) else newest.end

    def due_backwards(self, now: datetime) -> Iterator[Window]:
        """Yield every window due by `now`, newest first, without end."""
        fire = self.last_fire(now)
        while True:
            yield self.window_of(fire)
            fire = _last_fire(self.cron, fire)

    def due_since(self, since: datetime, now: datetime) -> Iterator[Window]:
        """Return the windows due by `now` that start at `since` or later, oldest first."""
        newest = self.last_fire(now)
        fires = takewhile(lambda fire: fire <= newest, CronSim(self.cron, since.astimezone(UTC)))
        return (window for window in map(self.window_of, fires) if window.start >= since)

    def within_reach(self, now: datetime) -> list[Window]:
        """Return the due windows that a tick may enqueue, oldest first: limited in number and
        age.
        """
        newest = islice(self.due_backwards(now), self.catch_up)
        return [window for window in newest if now - window.end <= CATCH_UP_AGE_MAX][::-1]

    def catch_up_start(self, now: datetime) -> datetime:
        """Return the time before which windows are no longer caught up."""
        windows = self.within_reach(now)
        return windows[0].start if windows else self.newest_due(now).end

    def reach(self, now: datetime) -> timedelta:
        """Return the greatest age, at a tick near `now`, of the end of a window that it
        enqueues.
        """
        *_, oldest = islice(self.due_backwards(now), self.catch_up + 1)
        return min(CATCH_UP_AGE_MAX, now - oldest.end)

    def between(self, start: datetime, end: datetime) -> list[Window]:
        """Return the windows that are completely in `[start, end)`, oldest first."""
        fires = CronSim(self.cron, start.astimezone(UTC))
        windows = takewhile(lambda window: window.end <= end, map(self.window_of, fires))
        return [window for window in windows if window.start >= start]


# Two years, of which the second has a 29th of February.
SAMPLE_START = datetime(2027, 1, 1, tzinfo=UTC)
SAMPLE_END = datetime(2029, 1, 1, tzinfo=UTC)
FIRES_MIN = 3
# If a cron fires every day, days differ only at the ends of months and years.
SAMPLE_DAYS = [SAMPLE_START + timedelta(days=n) for n in (0, 1, 57, 58, 59, 60, 363, 364, 365, 366)]


@lru_cache(maxsize=64)
def first_gap(cron: str, window_of: WindowOf) -> str | None:
    """Return the gap between two windows of consecutive planned times, if there is one.

    Raise ValueError with the planned times of equal or overlapping windows. Hours and days are
    alike, so this examines the minutes of one hour, the hours of one day and the days of two years,
    and not each minute of them, because loading a worker must be fast.
    """
    gap = None
    for earlier, later in _consecutive_fires(cron):
        before, after = window_of(earlier), window_of(later)
        if after.start < before.end:
            raise ValueError(
                f"{cron} is planned for {_iso(earlier)} and {_iso(later)}, which mean the windows"
                f" {before} and {after}: each planned time needs a window of its own"
            )
        if not earlier < after.end <= later:
            raise ValueError(
                f"{cron} is planned for {_iso(later)}, which means the window {after}: it is to"
                f" mean one that ends after {_iso(earlier)}, and by then"
            )
        if after.start > before.end and gap is None:
            gap = f"{cron} leaves {Window(before.end, after.start)} to no window"
    return gap


def _consecutive_fires(cron: str) -> Iterator[tuple[datetime, datetime]]:
    """Yield pairs of consecutive planned times: within an hour, a day, and two years."""
    parsed = CronSim(cron, SAMPLE_START - timedelta(seconds=1))
    minutes, hours = sorted(parsed.minutes), sorted(parsed.hours)
    first, *_ = days = _days(*cron.split()[-3:])
    yield from pairwise(first.replace(hour=hours[0], minute=minute) for minute in minutes)
    for hour, later in pairwise(hours):
        yield (
            first.replace(hour=hour, minute=minutes[-1]),
            first.replace(hour=later, minute=minutes[0]),
        )
    for day, later_day in pairwise(days):
        if days is SAMPLE_DAYS and later_day - day > timedelta(days=1):
            continue
        yield (
            day.replace(hour=hours[-1], minute=minutes[-1]),
            later_day.replace(hour=hours[0], minute=minutes[0]),
        )


# Its result depends on the days alone, which many crons have in common.
@lru_cache(maxsize=16)
def _days(*of_days: str) -> list[datetime]:
    """Return the days on which a cron fires, in two years; at least three of them, at any
    distance.
    """
    if of_days == ("*", "*", "*"):
        return SAMPLE_DAYS
    days: list[datetime] = []
    for day in CronSim(" ".join(("0", "0", *of_days)), SAMPLE_START - timedelta(seconds=1)):
        if day >= SAMPLE_END and len(days) >= FIRES_MIN:
            break
        days.append(day)
    return days


# Consecutive ticks need the planned times of the same windows, several times each.
@lru_cache(maxsize=1_024)
def next_fire(cron: str, now: datetime) -> datetime:
    """Return the first planned time of a cron after `now`, which is in UTC."""
    return next(CronSim(cron, now))


@lru_cache(maxsize=1_024)
def _last_fire(cron: str, before: datetime) -> datetime:
    return next(CronSim(cron, before, reverse=True))


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%MZ")
