"""The running `mauntic dev` as a `System`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mauntic.local.control_client import Control, RuntimeFailed
from mauntic.operations.metric_summary import gauges_of, summarize, verdicts_of
from mauntic.operations.system import (
    Advance,
    GaugeValue,
    Load,
    QueueState,
    SystemEnded,
    Verdicts,
    ignored,
    send_in_parts,
)

HEALTH_TIMEOUT_S = 2


class LocalSystem:
    """The running `mauntic dev`."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def send(
        self, queue: str, bodies: Sequence[Any], delay_s: int = 0, advance: Advance = ignored
    ) -> None:
        send_in_parts(bodies, lambda part: self._send(queue, part, delay_s), advance)

    def _send(self, queue: str, bodies: list[Any], delay_s: int) -> None:
        try:
            self._control.send(queue, bodies, delay_s)
        except RuntimeFailed as error:
            if self._is_up and "disposed" not in str(error):
                raise
            raise SystemEnded(
                f"The local system at {self._control.url} has ended and the messages in its queues"
                " are lost: start `mauntic dev` again."
            ) from error

    @property
    def _is_up(self) -> bool:
        """Return whether it answers. Its queues may already be disposed while it still does."""
        try:
            self._control.ask("GET", "/health", timeout_s=HEALTH_TIMEOUT_S)
        except RuntimeFailed:
            return False
        return True

    def queue_states(self, names: Sequence[str]) -> list[QueueState]:
        states = self._control.queues()
        return [_local_state(name, states[name]) for name in names if name in states]

    def set_paused(self, queue: str, paused: bool) -> None:
        self._control.ask("POST", f"/queues/{queue}/{'pause' if paused else 'resume'}")

    def loads(self, since: timedelta, queue: str | None) -> list[Load]:
        return summarize(self._points(since), queue)

    def verdicts(self, since: timedelta) -> list[Verdicts]:
        return verdicts_of(self._points(since))

    def gauges(self, since: timedelta) -> list[GaugeValue]:
        return gauges_of(self._points(since))

    def _points(self, since: timedelta) -> list[dict[str, Any]]:
        return self._control.metrics(datetime.now(UTC) - since)


def _local_state(name: str, state: Mapping[str, Any]) -> QueueState:
    oldest = state["oldestMessageAt"]
    return QueueState(
        queue=name,
        backlog=state["waiting"] + state["delayed"] + state["inFlight"],
        oldest_at=datetime.fromtimestamp(oldest / 1_000, UTC) if oldest else None,
        delayed=state["delayed"],
        in_flight=state["inFlight"],
        consumers=[state["consumer"]] if state["consumer"] else [],
        paused=state["paused"],
    )
