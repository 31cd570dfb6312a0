"""The platform's events: recorded with the change of a message, published after its transaction.

The row and the change commit together, so a repeated statement records no second event. Sending the
event and deleting the row are two systems: if the isolate ends in between, the event is sent again
with the same `eventId`, by which consumers detect it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from delivery.jobs.publish_events import PublishEvents
from delivery.queues import JOBS
from delivery.store import outbox
from shared import PlatformQueue, Queue
from shared.ports import Ports, Producer, Row

EVENTS = PlatformQueue("PLATFORM_EVENTS")
ROWS_A_TRANSACTION = 1_000
# Per invocation: half of the time that it may take after its answer. A message continues with the
# rest. https://developers.cloudflare.com/workers/runtime-apis/context/#waituntil
PUBLISHING_MAX = timedelta(seconds=15)
COUNTED_ROWS_MAX = 100_000
TYPES: Mapping[str, str] = {
    "sent": "delivery.MessageSent",
    "failed": "delivery.MessageFailed",
    "delivered": "delivery.MessageDelivered",
    "opened": "delivery.MessageOpened",
    "clicked": "delivery.MessageClicked",
    "bounced": "delivery.MessageBounced",
    "complained": "delivery.MessageComplained",
    "unsubscribed": "delivery.MessageUnsubscribed",
}


async def publish_after_batch(queue: Queue, ports: Ports) -> None:
    """Publish the events of this batch and earlier ones; the next sweep publishes what is left.

    Without a bound queue only the sweeps count the events, so that sending costs nothing more.
    """
    if ports.producer(EVENTS.binding) or queue.name == JOBS.name:
        await publish(ports)


async def publish(ports: Ports) -> None:
    """Publish the events of earlier transactions to the bound queue; without one, log their counts.

    If the time is used up and rows may remain, a separate message continues with them.
    """
    if not outbox.has_events(ports.db):
        return
    queue = ports.producer(EVENTS.binding)
    end = ports.clock() + PUBLISHING_MAX
    while ports.clock() < end:
        is_done = await _send(queue, ports) if queue else _log(ports)
        if is_done:
            return
    jobs = ports.producer(JOBS.binding)
    if jobs:
        await jobs.send([PublishEvents().body()])


async def _send(queue: Producer, ports: Ports) -> bool:
    with ports.db.transaction():
        rows = outbox.take_events(ports.db, ROWS_A_TRANSACTION)
        await queue.send([event_of(row) for row in rows])
    return len(rows) < ROWS_A_TRANSACTION


def _log(ports: Ports) -> bool:
    """Log one line per organization and kind."""
    with ports.db.transaction():
        taken, counts = outbox.count_events(ports.db, COUNTED_ROWS_MAX)
    for counted in counts:
        ports.log(
            "delivery.unannounced",
            organization_id=counted["organization_id"],
            type=TYPES[counted["kind"]],
            count=counted["count"],
        )
    return taken < COUNTED_ROWS_MAX


def event_of(row: Row) -> dict[str, Any]:
    """Return the message of an event. What a message does not have is left out of its data."""
    at = row["occurred_at"].isoformat()
    data = {
        "organizationId": row["organization_id"],
        "messageId": row["message_id"],
        "deliveryJobId": row["job_id"],
        "contactId": row["contact_id"],
        "channel": row["channel"],
        "campaignId": row["campaign_id"],
        "journeyExecutionId": row["journey_execution_id"],
        "stepId": row["step_id"],
        **_own_fields(row["kind"], row["details"], row["provider"]),
        f"{row['kind']}At": at,
    }
    plain = {name: _plain(value) for name, value in data.items() if value is not None}
    event_id = str(row["event_id"])
    return {"type": TYPES[row["kind"]], "eventId": event_id, "occurredAt": at, "data": plain}


def _own_fields(kind: str, details: Mapping[str, Any], provider: str) -> dict[str, Any]:
    """Return the fields that only this kind of event has."""
    if kind == "sent":
        return {"provider": provider}
    if kind == "clicked":
        return {"url": details.get("url"), "isMachine": details.get("machine")}
    if kind == "opened":
        return {"isMachine": details.get("machine")}
    if kind == "bounced":
        bounce = details.get("bounceKind")
        return {"bounceType": bounce, "reason": details.get("reason", f"{bounce}_bounce")}
    return {"reason": details.get("reason")} if kind == "failed" else {}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | bool) else str(value)
