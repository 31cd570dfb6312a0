"""The platform's events, published from the worker's outbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from journeys.jobs.publish_events import PublishEvents
from journeys.store import outbox
from shared import PlatformQueue, Queue
from shared.outbox import Outbox
from shared.ports import Ports, Row

EVENTS = PlatformQueue("PLATFORM_EVENTS")


async def publish_after_batch(_: Queue, ports: Ports) -> None:
    """Publish the events so far; without a bound queue, log their counts."""

    async def go_on() -> None:
        await ports.queue.send([PublishEvents().body()])

    await OUTBOX.publish(ports, go_on)


def _messages_of(row: Row) -> list[dict[str, Any]]:
    return [
        {
            "type": row["type"],
            "eventId": str(row["event_id"]),
            "occurredAt": row["created_at"].isoformat(),
            "data": row["body"],
        }
    ]


def _report(counted: Mapping[str, Any], ports: Ports) -> None:
    """Log one line per organization and type."""
    ports.log("journey.event_untold", **counted)


OUTBOX = Outbox(
    queue=EVENTS,
    has_events=outbox.has_events,
    take=outbox.take_events,
    messages_of=_messages_of,
    count=outbox.count_events,
    report=_report,
)
