"""Threshold events, published from the worker's outbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from scoring.jobs.publish_crossings import PublishCrossings
from scoring.store import statements
from shared import PlatformQueue, Queue
from shared.outbox import Outbox
from shared.ports import Ports, Row

CROSSINGS = PlatformQueue("THRESHOLD_EVENTS")
THRESHOLDS = (20, 40, 60, 80)


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
    """Publish the events of earlier transactions; without a bound queue, log their counts."""

    async def go_on() -> None:
        await ports.queue.send([PublishCrossings().body()])

    await OUTBOX.publish(ports, go_on)


def _report(counted: Mapping[str, Any], ports: Ports) -> None:
    """Log one line per organization, threshold and direction: a first import has a million
    crossings.
    """
    ports.log("score.threshold_crossed", **counted)


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


OUTBOX = Outbox(
    queue=CROSSINGS,
    has_events=statements.has_crossings,
    take=statements.take_crossings,
    messages_of=lambda row: (crossing.body() for crossing in crossings(row)),
    count=lambda db, rows_max: statements.count_crossings(db, THRESHOLDS, rows_max),
    report=_report,
)
