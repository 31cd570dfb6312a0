"""Threshold events: written down with the score, published after its transaction.

The row and the score commit together, so a redelivered message writes no second one. Sending and
removing the row are two systems: if the isolate ends between them, the event is sent again with the
same `eventId`, by which a consumer can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from scoring import store
from shared.ports import Ports, Row

BINDING = "THRESHOLD_EVENTS"
THRESHOLDS = (20, 40, 60, 80)
ROWS_A_TRANSACTION = 1_000
# An invocation's, half of what it may take after its answer: the rest is left to the next one.
# https://developers.cloudflare.com/workers/runtime-apis/context/#waituntil
PUBLISHING_MAX = timedelta(seconds=15)
LOGGED_ROWS_MAX = 100_000


@dataclass(frozen=True)
class Crossing:
    """A score that came to or fell below a threshold."""

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
        """The message."""
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


async def publish(ports: Ports) -> None:
    """Publish what earlier transactions have written down, on the queue that is bound, if any."""
    queue = ports.producer(BINDING)
    if queue is None:
        _log(ports)
        return
    end = ports.clock() + PUBLISHING_MAX
    while ports.clock() < end:
        with ports.db.transaction():
            rows = store.take_crossings(ports.db, ROWS_A_TRANSACTION)
            await queue.send([crossing.body() for row in rows for crossing in crossings(row)])
        if len(rows) < ROWS_A_TRANSACTION:
            return


def crossings(row: Row) -> Iterator[Crossing]:
    """Each threshold that lies between the score before and the score after, nearest first."""
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


def _log(ports: Ports) -> None:
    """A line an organisation, threshold and direction: a first import crosses a million times."""
    for counted in store.count_crossings(ports.db, THRESHOLDS, LOGGED_ROWS_MAX):
        ports.log("score.threshold_crossed", **counted)
