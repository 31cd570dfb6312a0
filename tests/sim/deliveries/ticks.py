"""When the cron fires: never, twice or late; often only in the times of attention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random

from cronsim import CronSim

NEVER, TWICE = 0.15, 0.1  # of the ticks in a time of attention
RARELY = 0.08  # a tick fires in the other times, which show as much and cost time
ATTENTION = timedelta(hours=3)
LATE_S = (0, 1, 20, 70, 290)


def draw(
    rng: Random, cron: str, start: datetime, end: datetime, quiet: timedelta
) -> Iterator[tuple[datetime, datetime]]:
    """Yield the ticks: when each fires, and for which time it was planned."""
    span = end - start
    attentive = [start + span * rng.random() for _ in range(span.days)]
    for planned in CronSim(cron, start):
        if planned > end + quiet - timedelta(hours=1):
            return
        for _ in range(_fires(rng, planned, end, attentive)):
            yield planned + timedelta(seconds=rng.choice(LATE_S) * rng.random()), planned


def _fires(rng: Random, planned: datetime, end: datetime, attentive: Sequence[datetime]) -> int:
    if planned >= end:
        is_third_hour = planned.hour % 3 == 0 and planned.minute == 0
        return int(planned < end + timedelta(hours=1) or is_third_hour)
    if any(begin <= planned < begin + ATTENTION for begin in attentive):
        return rng.choices((0, 1, 2), (NEVER, 1 - NEVER - TWICE, TWICE))[0]
    return int(rng.random() < RARELY)
