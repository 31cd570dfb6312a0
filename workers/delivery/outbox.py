"""The platform's events, published from the worker's outbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from delivery.jobs.publish_events import PublishEvents
from delivery.queues import JOBS
from delivery.store import outbox
from shared import PlatformQueue, Queue
from shared.outbox import Outbox
from shared.ports import Ports, Row

EVENTS = PlatformQueue("PLATFORM_EVENTS")
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
    """Publish the events of earlier transactions; without a bound queue, log their counts."""

    async def go_on() -> None:
        jobs = ports.producer(JOBS.binding)
        if jobs:
            await jobs.send([PublishEvents().body()])

    await OUTBOX.publish(ports, go_on)


def _report(counted: Mapping[str, Any], ports: Ports) -> None:
    """Log one line per organization and kind."""
    ports.log(
        "delivery.unannounced",
        organization_id=counted["organization_id"],
        type=TYPES[counted["kind"]],
        count=counted["count"],
    )


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


OUTBOX = Outbox(
    queue=EVENTS,
    has_events=outbox.has_events,
    take=outbox.take_events,
    messages_of=lambda row: [event_of(row)],
    count=outbox.count_events,
    report=_report,
)
