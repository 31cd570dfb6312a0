"""Threshold events: recorded with the score, published after its transaction.

The row and the score commit together, so a redelivered message records no second event. Sending the
event and deleting the row are two systems: if the isolate ends in between, the event is sent again
with the same `eventId`, by which consumers detect it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from scoring.jobs.publish_crossings import PublishCrossings
from scoring.store import statements
from shared import PlatformQueue, Queue
from shared.ports import Ports, Producer, Row

CROSSINGS = PlatformQueue("THRESHOLD_EVENTS")
THRESHOLDS = (20, 40, 60, 80)
ROWS_A_TRANSACTION = 1_000
# Per invocation: half of the time that it may take after its answer. A message continues with the
# rest. https://developers.cloudflare.com/workers/runtime-apis/context/#waituntil
PUBLISHING_MAX = timedelta(seconds=15)
LOGGED_ROWS_MAX = 100_000


@dataclass(frozen=True)
class Crossing:
    """A score that reached or fell below a threshold."""

    event_id: str
    organization_id: UUID
    contact_id: UUID
    score: int
    previous_score: int
    threshold: int
    occurred_at: str

    @property
    def direction(self) -> str:
        return "up" if self.score >= self.threshold else "down"

    def body(self) -> dict[str, Any]:
        """Return the message."""
        return {
            "type": "scoring.ScoreThresholdCrossed",
            "eventId": self.event_id,
            "occurredAt": self.occurred_at,
            "data": {
                "organizationId": str(self.organization_id),
                "contactId": str(self.contact_id),
                "score": self.score,
                "previousScore": self.previous_score,
                "threshold": self.threshold,
                "direction": self.direction,
            },
        }


async def publish_after_batch(_: Queue, ports: Ports) -> None:
    """Publish the events that this batch and earlier ones have recorded."""
    await publish(ports)


async def publish(ports: Ports) -> None:
    """Publish the events of earlier transactions to the bound queue; without one, log their counts.

    If the time is used up and rows may remain, a separate message continues with them.
    """
    if not statements.has_crossings(ports.db):
        return
    queue = ports.producer(CROSSINGS.binding)
    end = ports.clock() + PUBLISHING_MAX
    while ports.clock() < end:
        is_done = await _send(queue, ports) if queue else _log(ports)
        if is_done:
            return
    await ports.queue.send([PublishCrossings().body()])


async def _send(queue: Producer, ports: Ports) -> bool:
    with ports.db.transaction():
        rows = statements.take_crossings(ports.db, ROWS_A_TRANSACTION)
        await queue.send([crossing.body() for row in rows for crossing in crossings(row)])
    return len(rows) < ROWS_A_TRANSACTION


def _log(ports: Ports) -> bool:
    """Log one line per organization, threshold and direction: a first import has a million
    crossings.
    """
    with ports.db.transaction():
        taken, counts = statements.count_crossings(ports.db, THRESHOLDS, LOGGED_ROWS_MAX)
    for counted in counts:
        ports.log("score.threshold_crossed", **counted)
    return taken < LOGGED_ROWS_MAX


def crossings(row: Row) -> Iterator[Crossing]:
    """Yield each threshold between the previous and the new score, nearest first."""
    score, previous = row["score"], row["previous_score"]
    order = THRESHOLDS if score > previous else reversed(THRESHOLDS)
    for threshold in order:
        if min(score, previous) < threshold <= max(score, previous):
            yield Crossing(
                f"{row['event_id']}-{threshold}",
                row["organization_id"],
                row["contact_id"],
                score,
                previous,
                threshold,
                row["scored_at"].isoformat(),
            )
