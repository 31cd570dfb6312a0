"""A system as operations see it, local or deployed: its queues and its metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from mauntic.errors import OperatorError
from shared.adapters.queue import cut

Advance = Callable[[int], None]


def ignored(count: int) -> None:
    """An Advance for those who show no progress."""


@dataclass(frozen=True)
class QueueState:
    """One queue now. None where the system cannot tell; `backlog` counts what is not acked."""

    queue: str
    backlog: int | None
    oldest_at: datetime | None
    delayed: int | None
    in_flight: int | None
    consumers: list[str]
    paused: bool | None


@dataclass(frozen=True)
class Load:
    """What was measured of one queue and type in a period; durations in milliseconds."""

    queue: str
    type: str
    messages: int
    done: int
    retries: int
    dead_letters: int
    p50_ms: float | None
    p95_ms: float | None


class SystemEnded(OperatorError):
    """The local system has ended, and what its queues held is gone with it."""


class System(Protocol):
    """What the commands need of a system beside its database."""

    def send(
        self, queue: str, bodies: Sequence[Any], delay_s: int = 0, advance: Advance = ignored
    ) -> None:
        """Send JSON values in batches that the platform takes. OperatorError has the count sent."""

    def queue_states(self, names: Sequence[str]) -> list[QueueState]:
        """The queues of these names, as far as they exist."""

    def set_paused(self, queue: str, paused: bool) -> None:
        """Hold back or resume the delivery; what is sent meanwhile waits."""

    def loads(self, since: timedelta, queue: str | None) -> list[Load]:
        """What was measured since then, by queue and type."""


def send_in_parts(
    bodies: Sequence[Any], send: Callable[[list[Any]], None], advance: Advance
) -> None:
    """Send the bodies in order, in parts that one call may carry."""
    sent = 0
    for part in cut(bodies):
        try:
            send(part)
        except Exception as error:
            if sent:
                kind = SystemEnded if isinstance(error, SystemEnded) else OperatorError
                raise kind(f"{sent} of {len(bodies)} messages were sent, then: {error}") from error
            raise
        sent += len(part)
        advance(len(part))
