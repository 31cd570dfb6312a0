"""The interface of a local or deployed system: its queues and metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from mauntic.errors import OperatorError
from shared.adapters.queue import cut

Advance = Callable[[int], None]


def ignored(count: int) -> None:
    """An Advance that shows no progress."""


@dataclass(frozen=True)
class QueueState:
    """The state of a queue; None means unknown. `backlog` counts everything not acked."""

    queue: str
    backlog: int | None
    oldest_at: datetime | None
    delayed: int | None
    in_flight: int | None
    consumers: list[str]
    paused: bool | None


@dataclass(frozen=True)
class Load:
    """Metrics of one queue and type in a period; durations in milliseconds."""

    queue: str
    type: str
    messages: int
    done: int
    retries: int
    dead_letters: int
    p50_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True)
class Verdicts:
    """What providers answered in a period, by channel, provider, verdict and code."""

    channel: str
    provider: str
    verdict: str
    code: str
    messages: int
    p50_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True)
class GaugeValue:
    """The newest value of a gauge of deliveries in a period."""

    gauge: str
    channel: str
    state: str
    count: int
    age_s: int


class SystemEnded(OperatorError):
    """The local system has ended, and the messages in its queues are lost."""


class System(Protocol):
    """The parts of a system that operations need in addition to its database."""

    def send(
        self, queue: str, bodies: Sequence[Any], delay_s: int = 0, advance: Advance = ignored
    ) -> None:
        """Send JSON values in batches. OperatorError has the number of messages sent."""

    def queue_states(self, names: Sequence[str]) -> list[QueueState]:
        """Return the state of those queues that exist."""

    def set_paused(self, queue: str, paused: bool) -> None:
        """Pause or resume the delivery; messages sent during a pause wait."""

    def loads(self, since: timedelta, queue: str | None) -> list[Load]:
        """Return the metrics since then, by queue and type."""

    def verdicts(self, since: timedelta) -> list[Verdicts]:
        """Return the verdicts of providers since then."""

    def gauges(self, since: timedelta) -> list[GaugeValue]:
        """Return the newest gauges of deliveries since then."""


def send_in_parts(
    bodies: Sequence[Any], send: Callable[[list[Any]], None], advance: Advance
) -> None:
    """Send the bodies in order, in parts that fit one call."""
    sent = 0
    for part in cut(bodies):
        try:
            send(part)
        except Exception as error:
            if sent:
                error_class = SystemEnded if isinstance(error, SystemEnded) else OperatorError
                raise error_class(
                    f"{sent} of {len(bodies)} messages were sent, then: {error}"
                ) from error
            raise
        sent += len(part)
        advance(len(part))
