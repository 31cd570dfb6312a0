"""Windows and schedules, against hand-made dates and against time itself."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone

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
    hour_before,
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


@pytest.mark.parametrize("window_of", [hour_before, quarter_hour_before, day_before, month_before])
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
        Schedule("61 * * * *", hour_before, timedelta(0))


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
