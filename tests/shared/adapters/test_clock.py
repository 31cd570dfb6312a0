"""The time of an invocation on a clock like the vendor's."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from shared.adapters.clock import InvocationClock

STARTED = datetime(2026, 3, 10, 11, tzinfo=UTC)


def test_it_reads_the_wall_clock_once_and_only_goes_forward() -> None:
    clock = InvocationClock(STARTED)
    readings = [clock() for _ in range(400)]
    assert readings == sorted(readings)
    assert readings[0] >= STARTED
    assert readings[-1] - STARTED < timedelta(seconds=1)


def test_it_counts_the_time_that_passes() -> None:
    clock = InvocationClock(STARTED)
    time.sleep(0.05)
    assert timedelta(seconds=0.05) <= clock() - STARTED < timedelta(seconds=2)
