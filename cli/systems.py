"""The systems that a command can work on, behind one face: the local and the deployed one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from cli.output import Refusal
from shared.adapters.queue import cut

if TYPE_CHECKING:  # both are slow to import
    from local.runtime import Control
    from shared.adapters.postgres import Postgres

HEALTH_TIMEOUT_S = 2

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


class SystemEnded(Refusal):
    """The local system has ended, and what its queues held is gone with it."""


class System(Protocol):
    """What the commands need of a system beside its database."""

    def send(
        self, queue: str, bodies: Sequence[Any], delay_s: int = 0, advance: Advance = ignored
    ) -> None:
        """Send JSON values in batches that the platform takes. Refusal says how many went out."""

    def queue_states(self, names: Sequence[str]) -> list[QueueState]:
        """The queues of these names, as far as they exist."""

    def set_paused(self, queue: str, paused: bool) -> None:
        """Hold back or resume the delivery; what is sent meanwhile waits."""

    def loads(self, since: timedelta, queue: str | None) -> list[Load]:
        """What was measured since then, by queue and type."""


class LocalSystem:
    """The running `mauntic dev`."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def send(
        self, queue: str, bodies: Sequence[Any], delay_s: int = 0, advance: Advance = ignored
    ) -> None:
        send_in_parts(bodies, lambda part: self._send(queue, part, delay_s), advance)

    def _send(self, queue: str, bodies: list[Any], delay_s: int) -> None:
        from local.runtime import RuntimeFailed

        try:
            self._control.send(queue, bodies, delay_s)
        except RuntimeFailed as error:
            if self._is_up and "disposed" not in str(error):
                raise
            raise SystemEnded(
                f"The local system at {self._control.url} has ended, and what its queues held is"
                " gone: start `mauntic dev` again."
            ) from error

    @property
    def _is_up(self) -> bool:
        """It answers a little longer than its queues take anything: they are disposed then."""
        from local.runtime import RuntimeFailed

        try:
            self._control.ask("GET", "/health", timeout_s=HEALTH_TIMEOUT_S)
        except RuntimeFailed:
            return False
        return True

    def queue_states(self, names: Sequence[str]) -> list[QueueState]:
        known = self._control.queues()
        return [_local_state(name, known[name]) for name in names if name in known]

    def set_paused(self, queue: str, paused: bool) -> None:
        self._control.ask("POST", f"/queues/{queue}/{'pause' if paused else 'resume'}")

    def loads(self, since: timedelta, queue: str | None) -> list[Load]:
        from cli.loads import summarise

        return summarise(self._control.metrics(datetime.now(UTC) - since), queue)


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
                kind = SystemEnded if isinstance(error, SystemEnded) else Refusal
                raise kind(f"{sent} of {len(bodies)} messages were sent, then: {error}") from error
            raise
        sent += len(part)
        advance(len(part))


def _local_state(name: str, told: Mapping[str, Any]) -> QueueState:
    oldest = told["oldestMessageAt"]
    return QueueState(
        queue=name,
        backlog=told["waiting"] + told["delayed"] + told["inFlight"],
        oldest_at=datetime.fromtimestamp(oldest / 1_000, UTC) if oldest else None,
        delayed=told["delayed"],
        in_flight=told["inFlight"],
        consumers=[told["consumer"]] if told["consumer"] else [],
        paused=told["paused"],
    )


@contextmanager
def open_system(*, remote: bool) -> Iterator[System]:
    """The deployed system with `--remote`, else the running local one."""
    if remote:
        from cli.remote.system import open_remote

        with open_remote(os.environ) as deployed:
            yield deployed
    else:
        from cli.connection import open_control

        with open_control() as control:
            yield LocalSystem(control)


@contextmanager
def open_records(*, remote: bool) -> Iterator[Postgres]:
    """The database with the ledger; with `--remote` it must be named."""
    from cli.connection import open_database, open_deployed

    if remote and not os.environ.get("DATABASE_URL"):
        raise Refusal("--remote needs the deployed database too: set DATABASE_URL.")
    with open_deployed() if remote else open_database() as database:
        yield database
