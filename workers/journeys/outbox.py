"""The platform's events: recorded with what they report, published after its transaction.

Sending an event and deleting its row are two systems: if the isolate ends in between, the event is
sent again with the same `eventId`, by which consumers detect it.
"""

from __future__ import annotations

from datetime import timedelta

from journeys.jobs.publish_events import PublishEvents
from journeys.store import outbox
from shared import PlatformQueue, Queue
from shared.ports import Ports, Producer

EVENTS = PlatformQueue("PLATFORM_EVENTS")
ROWS_A_TRANSACTION = 1_000
# Per invocation: half of the time that it may take after its answer. A message continues with the
# rest. https://developers.cloudflare.com/workers/runtime-apis/context/#waituntil
PUBLISHING_MAX = timedelta(seconds=15)
COUNTED_ROWS_MAX = 100_000


async def publish_after_batch(_: Queue, ports: Ports) -> None:
    """Publish the events of this batch and earlier ones; without a bound queue, log their counts.

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
    await ports.queue.send([PublishEvents().body()])


async def _send(queue: Producer, ports: Ports) -> bool:
    with ports.db.transaction():
        rows = outbox.take_events(ports.db, ROWS_A_TRANSACTION)
        await queue.send(
            [
                {
                    "type": row["type"],
                    "eventId": str(row["event_id"]),
                    "occurredAt": row["created_at"].isoformat(),
                    "data": row["body"],
                }
                for row in rows
            ]
        )
    return len(rows) < ROWS_A_TRANSACTION


def _log(ports: Ports) -> bool:
    """Log one line per organization and type: no receiver is bound."""
    with ports.db.transaction():
        taken, counts = outbox.count_events(ports.db, COUNTED_ROWS_MAX)
    for counted in counts:
        ports.log("journey.event_untold", **counted)
    return taken < COUNTED_ROWS_MAX
