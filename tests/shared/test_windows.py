"""Windows and schedules, compared with hand-made dates and with real time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.windows import (
    CATCH_UP_AGE_MAX,
    CATCH_UP_WINDOWS_MAX,
    Schedule,
    Window,
    WindowOf,
    day_before,
    first_gap,
    five_minutes_before,
    hour_before,
    minute_before,
    month_before,
    quarter_hour_before,
)

MOMENTS = st.datetimes(datetime(1999, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))
SCHEDULES = [
    Schedule("*/15 * * * *", quarter_hour_before, timedelta(minutes=10)),
    Schedule("0 * * * *", hour_before, timedelta(minutes=30)),
    Schedule("0 2 * * *", day_before, timedelta(hours=2)),
    Schedule("0 3 1 * *", month_before, timedelta(hours=2)),
]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("window_of", "planned", "window"),
    [
        (hour_before, utc(2026, 3, 10, 11), "2026-03-10T10:00Z/2026-03-10T11:00Z"),
        (hour_before, utc(2026, 3, 10, 11, 59, 59), "2026-03-10T10:00Z/2026-03-10T11:00Z"),
        (hour_before, utc(2026, 1, 1), "2025-12-31T23:00Z/2026-01-01T00:00Z"),
        (quarter_hour_before, utc(2026, 1, 1), "2025-12-31T23:45Z/2026-01-01T00:00Z"),
        (day_before, utc(2028, 3, 1), "2028-02-29T00:00Z/2028-03-01T00:00Z"),
        (day_before, utc(2026, 3, 29, 2), "2026-03-28T00:00Z/2026-03-29T00:00Z"),
        (month_before, utc(2026, 1, 31, 3), "2025-12-01T00:00Z/2026-01-01T00:00Z"),
        (month_before, utc(2026, 3, 31, 23), "2026-02-01T00:00Z/2026-03-01T00:00Z"),
    ],
)
def test_the_window_of_a_planned_time(window_of: WindowOf, planned: datetime, window: str) -> None:
    assert str(window_of(planned)) == window


def test_a_planned_time_in_another_zone_means_the_same_window() -> None:
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    assert day_before(utc(2026, 3, 1, 20).astimezone(kathmandu)) == day_before(utc(2026, 3, 1, 20))


@pytest.mark.parametrize(
    "window_of",
    [
        minute_before, five_minutes_before, quarter_hour_before, hour_before, day_before,
        month_before,
    ],
)  # fmt: skip
@given(moment=MOMENTS)
def test_windows_are_complete_and_touch_each_other(window_of: WindowOf, moment: datetime) -> None:
    window = window_of(moment)
    assert window.end <= moment
    assert window_of(window.end) == window
    assert window_of(window.start).end == window.start


def test_a_window_is_in_utc_and_not_empty() -> None:
    with pytest.raises(ValueError, match="ends after it starts"):
        Window(utc(2026, 1, 1), utc(2026, 1, 1))
    with pytest.raises(ValueError, match="in UTC"):
        Window(utc(2026, 1, 1), datetime(2026, 1, 2))
    with pytest.raises(ValueError, match="in UTC"):
        Window(utc(2026, 1, 1), datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=1))))


def test_a_wrong_cron_is_refused_when_it_is_declared() -> None:
    with pytest.raises(Exception, match="Bad"):
        Schedule("61 * * * *", hour_before, timedelta(hours=1))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.cron)
@given(now=MOMENTS)
def test_every_fire_means_one_window_and_back(schedule: Schedule, now: datetime) -> None:
    last = schedule.last_fire(now)
    window = schedule.newest_due(now)
    assert last <= now < schedule.next_fire(last)
    assert schedule.planned_for(window) == last
    assert schedule.window_of(schedule.planned_for(window)) == window


def test_a_tick_that_fires_within_its_minute_is_its_own_last_fire() -> None:
    [_, hourly, *_] = SCHEDULES
    assert hourly.last_fire(utc(2026, 3, 10, 11, 0, 0)) == utc(2026, 3, 10, 11)
    assert hourly.last_fire(utc(2026, 3, 10, 10, 59, 59)) == utc(2026, 3, 10, 10)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.cron)
@given(now=MOMENTS)
def test_catching_up_is_bounded_ordered_and_without_holes(
    schedule: Schedule, now: datetime
) -> None:
    windows = schedule.within_reach(now)
    assert len(windows) <= CATCH_UP_WINDOWS_MAX
    assert all(now - window.end <= CATCH_UP_AGE_MAX for window in windows)
    assert all(a.end == b.start for a, b in itertools.pairwise(windows))
    if windows:
        assert windows[-1] == schedule.newest_due(now)
        assert schedule.catch_up_start(now) == windows[0].start
    else:
        assert schedule.catch_up_start(now) == schedule.newest_due(now).end


def test_catching_up_reaches_48_hours_and_14_days() -> None:
    _, hourly, daily, monthly = SCHEDULES
    now = utc(2026, 3, 20, 12)
    assert len(hourly.within_reach(now)) == 48
    assert hourly.within_reach(now)[0].start == utc(2026, 3, 18, 12)
    assert daily.within_reach(now)[0].start == utc(2026, 3, 6)  # ends on the 7th: 13.5 days ago
    assert monthly.within_reach(utc(2026, 3, 15)) != []
    assert monthly.within_reach(utc(2026, 3, 15, 0, 15)) == []


def test_the_windows_of_a_span_lie_whole_in_it() -> None:
    [_, hourly, *_] = SCHEDULES
    between = hourly.between(utc(2026, 3, 1, 0, 30), utc(2026, 3, 1, 3, 30))
    assert [window.start.hour for window in between] == [1, 2]


def test_history_begins_with_a_tick_s_own_window_and_else_with_the_next() -> None:
    [*_, monthly] = SCHEDULES
    assert monthly.beginning(utc(2026, 3, 1, 3)) == utc(2026, 2, 1)
    assert monthly.beginning(utc(2026, 3, 1, 4)) == utc(2026, 3, 1)


# The crons and windows that fit each other: every pair of these, compared with enumerated planned
# times.

MINUTES = ("*", "0", "30", "59", "*/5", "*/15", "*/20", "7-59/15", "0,30", "1,16,31,46", "5-10")
HOURS = ("*", "0", "2", "*/2", "0-22", "6,18")
DAYS = (
    "* * *", "1 * *", "15 * *", "28 * *", "29 * *", "31 * *", "L * *", "1,15 * *", "*/2 * *",
    "* 1-11 *", "1 1 *", "1 */2 *", "* * MON", "* * MON-FRI", "* * MON#1", "29 2 *",
)  # fmt: skip
LENGTHS = {
    minute_before: 1, five_minutes_before: 5, quarter_hour_before: 15, hour_before: 60,
    day_before: 1_440, month_before: None,
}  # fmt: skip
WEEK = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


@cache
def values(field: str, least: int, most: int) -> frozenset[int]:
    """Return the values of a field of numbers: lists of ranges with steps."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{least}-{most}" if span == "*" else span).partition("-")
        found |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    return frozenset(found)


@cache
def is_day(day: date, of_month: str, months: str, of_week: str) -> bool:
    """Return whether a cron fires on a day; if one of the two fields is a star, both must match."""
    if day.month not in values(months, 1, 12):
        return False
    if of_month == "L":
        return (day + timedelta(days=1)).day == 1
    name, _, nth = of_week.partition("#")
    first, _, last = name.partition("-")
    if first != "*":
        if not WEEK.index(first) <= day.weekday() <= WEEK.index(last or first):
            return False
        if nth and (day.day - 1) // 7 + 1 != int(nth):
            return False
    return day.day in values(of_month, 1, 31)


def written_out(cron: str, days: int) -> Iterator[datetime]:
    """Yield every planned time in this number of days from the middle of 2026."""
    minutes, hours, *rest = cron.split()
    times = sorted(itertools.product(values(hours, 0, 23), values(minutes, 0, 59)))
    for ahead in range(days):
        day = date(2026, 6, 1) + timedelta(days=ahead)
        if is_day(day, *rest):
            for hour, minute in times:
                yield datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


def complete_before(moment: datetime, minutes: int | None) -> tuple[int, int]:
    """The last ended window of that length, in minutes since 1970; a month's in months."""
    if minutes is None:
        months = moment.year * 12 + moment.month
        return months - 1, months
    ended = int(moment.timestamp()) // 60 // minutes * minutes
    return ended - minutes, ended


def judged(cron: str, minutes: int | None) -> str:
    """Return the result for the pair, from its planned times."""
    days = 40 if cron.endswith("* * *") else 800
    if minutes is None or minutes == 1_440:
        days = 3 * 366
    if cron.endswith("29 2 *"):
        days = 6 * 366
    gap, before = False, None
    for moment in written_out(cron, days):
        window = complete_before(moment, minutes)
        if before and window[0] < before[1]:
            return "overlap"
        gap = gap or bool(before and window[0] > before[1])
        before = window
        if gap and minutes != 1_440 and minutes is not None:
            return "gap or overlap"
    return "gap" if gap else "fits"


@pytest.mark.parametrize("days", DAYS)
def test_a_cron_and_windows_that_do_not_fit_are_refused(days: str) -> None:
    """Rarer, more frequent, or with days left out: 66 crons with each length of window."""
    for minute, hour, (window_of, length) in itertools.product(MINUTES, HOURS, LENGTHS.items()):
        cron = f"{minute} {hour} {days}"
        right = judged(cron, length)
        try:
            found = "gap" if first_gap.__wrapped__(cron, window_of) else "fits"
        except ValueError:
            found = "overlap"
        assert found in right, f"{cron} with {window_of.__name__} is {right}, not {found}"


@pytest.mark.parametrize(
    ("cron", "window_of"),
    [
        ("0 */2 * * *", hour_before),
        ("*/15 * * * *", hour_before),
        ("0 2 * * MON-FRI", day_before),
        ("0 3 31 * *", month_before),
        ("0 * * * *", lambda planned: hour_before(planned - timedelta(hours=1))),
        ("0 * * * *", lambda planned: hour_before(planned + timedelta(hours=1))),
    ],
)
def test_the_declaration_is_where_it_is_refused(cron: str, window_of: WindowOf) -> None:
    with pytest.raises(ValueError, match=r"name the gap|a window of its own|and by then"):
        Schedule(cron, window_of, timedelta(hours=1))


def test_a_gap_that_is_named_is_left_out() -> None:
    """Nights belong to no window: each planned time still means its own hour."""
    daily = Schedule("0 8-18 * * *", hour_before, timedelta(hours=1), gap="offices are closed")
    assert [window.end.hour for window in daily.within_reach(utc(2026, 3, 2, 9))[-3:]] == [18, 8, 9]
    assert [w.end.hour for w in daily.between(utc(2026, 3, 1, 16), utc(2026, 3, 2, 9))] == [
        17, 18, 8, 9,
    ]  # fmt: skip
    for window in daily.within_reach(utc(2026, 3, 2, 9)):
        assert daily.window_of(daily.planned_for(window)) == window
    with pytest.raises(ValueError, match="no gap to name"):
        Schedule("0 * * * *", hour_before, timedelta(hours=1), gap="none")
    with pytest.raises(ValueError, match="a window of its own"):
        Schedule("0,30 * * * *", hour_before, timedelta(hours=1), gap="none")
