"""Queues that deliver late or not at all for a while, and schedules that an operator pauses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

DELAYS_MIN = (20, 35, 70, 300)  # the delay of a slow queue
SLOW_H = (3, 12, 40)
STANDSTILLS_H = (0.5, 3, 20, 50)  # a queue with paused delivery
PAUSES_H = (0.5, 4, 9)  # of a schedule: shorter than the 48 windows of the quarter-hourly job


@dataclass(frozen=True)
class Slowdown:
    """In `[start, end)` a queue delivers each message `delay` late; not at all if None."""

    queue: str
    start: datetime
    end: datetime
    delay: timedelta | None

    def covers(self, queue: str, moment: datetime) -> bool:
        return queue == self.queue and self.start <= moment < self.end


@dataclass(frozen=True)
class Pause:
    """In `[start, end)` an operator has paused a schedule."""

    job_type: str
    start: datetime
    end: datetime


def deliverable_at(
    slowdowns: Sequence[Slowdown], queue: str, sent_at: datetime, visible_at: datetime
) -> datetime:
    """Return the time at which a queue delivers a message that it received at `sent_at`."""
    late = [s.delay for s in slowdowns if s.delay and s.covers(queue, sent_at)]
    moment = visible_at + max(late, default=timedelta())
    for standstill in sorted((s for s in slowdowns if s.delay is None), key=lambda s: s.start):
        if standstill.covers(queue, moment):
            moment = standstill.end
    return moment


def draw_slowdowns(
    rng: Random, queues: Sequence[str], start: datetime, days: int
) -> list[Slowdown]:
    """Return up to three slow periods and two standstills, which end before the simulated time
    does.
    """
    end = start + timedelta(days=days)
    drawn = []
    for _ in range(rng.randint(0, 3)):
        span, delay = rng.choice(SLOW_H), timedelta(minutes=rng.choice(DELAYS_MIN))
        drawn.append(Slowdown(rng.choice(queues), *_span(rng, start, end, span), delay))
    for _ in range(rng.randint(0, 2)):
        hours = rng.choice(STANDSTILLS_H)
        drawn.append(Slowdown(rng.choice(queues), *_span(rng, start, end, hours), None))
    return drawn


def draw_pauses(rng: Random, job_types: Sequence[str], start: datetime, days: int) -> list[Pause]:
    """Return up to three pauses; those of one schedule do not overlap."""
    end = start + timedelta(days=days)
    names = rng.sample(list(job_types), rng.randint(0, min(3, len(job_types))))
    return [Pause(name, *_span(rng, start, end, rng.choice(PAUSES_H))) for name in names]


def _span(rng: Random, start: datetime, end: datetime, hours: float) -> tuple[datetime, datetime]:
    begin = start + rng.random() * (end - start)
    return begin, min(begin + timedelta(hours=hours), end)
