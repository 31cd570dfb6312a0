"""Send the messages that advance executions, after the commit that says so.

A message that the queue refuses, or loses, is sent again by `journey.wake-due`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from journeys.store.executions import Reference
from journeys.store.waking import PATIENCE, Due
from shared.errors import QueueUnavailable
from shared.ports import Ports

# A delay that every version of the queue takes; a longer wait is left to journey.wake-due.
DELAY_MAX = timedelta(hours=12)
DELAY_STEP_S = 15  # delays are rounded up to it, so that few calls of the queue carry them


def delay_s(wake_at: datetime | None, now: datetime) -> int | None:
    """Return the delay of the message that wakes an execution; None if none is sent.

    >>> from datetime import UTC
    >>> at = datetime(2026, 3, 1, 12, 0, 0, 500_000, UTC)
    >>> delay_s(at, at), delay_s(at, at - timedelta(seconds=7)), delay_s(None, at)
    (0, 15, None)
    """
    if wake_at is None or wake_at - now > DELAY_MAX:
        return None
    steps = -(-max(timedelta(0), wake_at - now) // timedelta(seconds=DELAY_STEP_S))
    return int(steps) * DELAY_STEP_S


def queued_until(wake_at: datetime | None, now: datetime) -> datetime | None:
    """Return the time until which the message counts as on its way; None if none is sent."""
    if wake_at is None or delay_s(wake_at, now) is None:
        return None
    return max(wake_at, now) + PATIENCE


async def send(due: Iterable[Due], ports: Ports) -> None:
    """Send a message for each execution that is due."""
    by_delay: dict[int, list[dict[str, Any]]] = {}
    for own in due:
        rounded_s = -(-own.delay_s // DELAY_STEP_S) * DELAY_STEP_S
        by_delay.setdefault(rounded_s, []).append(_body(own.reference))
    try:
        for rounded_s, bodies in sorted(by_delay.items()):
            await ports.queue.send(bodies, rounded_s)
    except QueueUnavailable:
        count = sum(map(len, by_delay.values()))
        ports.log("journey.not_queued", level="warning", type="journey.advance", count=count)


async def send_started(started: Iterable[Reference], ports: Ports) -> None:
    """Send the first message of executions."""
    await send([Due(own, 0) for own in started], ports)


async def send_triggers(asked: Iterable[tuple[UUID, UUID]], ports: Ports) -> None:
    """Send the messages that run triggers of organizations."""
    bodies = [
        {
            "type": "journey.run-trigger",
            "data": {"organizationId": str(organization_id), "triggerId": str(trigger_id)},
        }
        for organization_id, trigger_id in asked
    ]
    try:
        if bodies:
            await ports.queue.send(bodies)
    except QueueUnavailable:
        ports.log(
            "journey.not_queued", level="warning", type="journey.run-trigger", count=len(bodies)
        )


def _body(own: Reference) -> dict[str, Any]:
    data = {
        "organizationId": str(own.organization_id),
        "executionId": str(own.id),
        "seq": own.seq,
    }
    return {"type": "journey.advance", "data": data}
