"""A bucket of tokens, against a count by hand."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from hooks.domain.limits import KEPT_MAX, Limits, Rate
from tests.workers.hooks.internet import NOW

RATE = Rate(burst=3, per_s=2)


def test_a_burst_and_then_the_rate() -> None:
    limits = Limits()
    allowed = [limits.allows("a", RATE, NOW + timedelta(seconds=s)) for s in (0, 0, 0, 0, 0.5, 0.5)]
    assert allowed == [True, True, True, False, True, False]


@given(st.lists(st.floats(-1, 5), max_size=60))
def test_never_more_than_the_burst_and_the_rate(steps: list[float]) -> None:
    """Also if the clock goes back."""
    limits, now, first, passed = Limits(), NOW, NOW, 0
    latest = NOW
    for step in steps:
        now += timedelta(seconds=step)
        latest = max(latest, now)
        passed += limits.allows("a", RATE, now)
    assert passed <= RATE.burst + RATE.per_s * (latest - first).total_seconds() + 1e-6


def test_only_the_most_recent_buckets_are_kept() -> None:
    limits = Limits()
    for number in range(KEPT_MAX * 2):
        limits.allows(str(number), RATE, NOW)
        limits.allows("busy", RATE, NOW)
    assert len(limits.buckets[RATE]) == KEPT_MAX
    assert not limits.allows("busy", RATE, NOW)  # what is used is not displaced
