"""One run of the worker, and the fault that it meets at one of its steps.

A step is a statement, a call to a provider, a call to R2 or a message to a queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from uuid import UUID

import greenback

from tests.sim.faults import CpuLimitExceeded, Died

FAULTY = 0.3  # the part of the invocations that meet a fault
STEPS = 18  # within so many steps
# `before` and `after`: a statement or a call is done, or not. `race`: the platform changes what
# the checks depend on. `stall`: the invocation stands still, mostly longer than a lease.
KINDS = (
    "die before", "die before", "die after", "die after", "break before", "break after",
    "break after", "stall", "stall", "stall", "race", "race", "race", "race", "race", "race",
    "queue", "half a queue", "time used up",
)  # fmt: skip
STALLS_S = (20, 150, 200, 330, 700, 1_500)
IDLE_TIMEOUT_S = 60  # the server ends a transaction that does nothing
STATEMENT_S = (0.001, 0.002, 0.004, 0.01, 0.02, 0.08, 0.4)


def pause(seconds: float) -> None:
    """Let the others run for some simulated time, in the middle of a synchronous call."""
    greenback.await_(asyncio.sleep(seconds))


@dataclass
class Invocation:
    """`step` meets the fault when its turn has come. `call_id` is the newest call that
    was begun or is repeated, `checked_at` the moment of the check before the repetition."""

    rng: Random
    kind: str | None = None
    at_step: int = 0
    race: Callable[[], None] = lambda: None
    is_quick: bool = False
    steps: int = 0
    is_dead: bool = False
    call_id: UUID | None = None
    checked_at: int | None = None

    @classmethod
    def drawn(cls, rng: Random, race: Callable[[], None]) -> Invocation:
        if rng.random() > FAULTY:
            return cls(rng)
        return cls(rng, rng.choice(KINDS), rng.randint(1, STEPS), race)

    def before(self) -> str | None:
        """Begin a step: die, or return the fault that the caller has to make."""
        if self.is_dead:
            return "dead"
        self.steps += 1
        if self.steps != self.at_step:
            return None
        kind = self.kind
        if kind == "die before":
            self.die()
        if kind == "race":
            self.race()
        if kind == "time used up":
            raise CpuLimitExceeded
        return kind

    def after(self) -> str | None:
        """End a step that cannot be undone: a commit or a call."""
        if self.is_dead or self.steps < self.at_step:
            return None
        if self.kind == "die after":
            self.die()
        if self.kind == "break after":
            self.kind = None
            return "break after"
        return None

    def stall_s(self) -> float:
        return self.rng.choice(STALLS_S)

    def latency_s(self) -> float:
        return 0.0 if self.is_quick else self.rng.choice(STATEMENT_S)

    def die(self) -> None:
        self.is_dead = True
        raise Died

    async def meet(self) -> None:
        """A step of a call that waits without a connection."""
        if (fault := self.before()) == "dead":
            raise RuntimeError("the isolate is gone")
        if fault == "stall":
            await asyncio.sleep(self.stall_s())
        if fault == "race":
            await asyncio.sleep(1)
