"""Enter contacts whose score has crossed a threshold."""

from __future__ import annotations

from collections.abc import Sequence

from journeys.domain.messages import ScoreThresholdCrossed
from journeys.sending import send_started
from journeys.store import entering
from shared import BatchJob, Done, Ports


async def enter_by_scores(messages: Sequence[ScoreThresholdCrossed], ports: Ports) -> list[Done]:
    """Enter the contacts of scores that crossed a threshold which a trigger names.

    SQL: `enter.sql` (`enter_by_scores`).
    """
    crossings = [
        {
            "organization_id": str(own.data.organization_id),
            "contact_id": str(own.data.contact_id),
            "threshold": own.data.threshold,
            "direction": own.data.direction,
            "event_id": own.event_id,
        }
        for own in messages
    ]
    with ports.db.transaction():
        entered = entering.enter_by_scores(ports.db, crossings, ports.clock())
    await send_started(entered.started, ports)
    return [Done(1, 0, str(own.data.organization_id)) for own in messages]


JOB = BatchJob(message=ScoreThresholdCrossed, handler=enter_by_scores, transaction=False)
