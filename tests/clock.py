"""Waits that keep tests away from the ends of hours."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

HOUR_S = 3_600


def until(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait for a condition that becomes true without help, such as the end of a closed session."""
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


def pass_the_hour(margin_s: float = 30) -> None:
    """Wait for the next hour if it is near: the commands read the clock, and a test that compares
    with it must see the same hour and day as they do."""
    time.sleep(wait_s(datetime.now(UTC), margin_s))


def wait_s(now: datetime, margin_s: float) -> float:
    """Return the time until the next hour has begun, if that is within the margin.

    >>> wait_s(datetime(2026, 3, 1, 10, 59, 50), 30), wait_s(datetime(2026, 3, 1, 10, 59), 30)
    (10.1, 0.0)
    """
    left_s = HOUR_S - (now.minute * 60 + now.second + now.microsecond / 1e6)
    return round(left_s + 0.1, 3) if left_s < margin_s else 0.0
