"""Enter contacts into a journey on request."""

from __future__ import annotations

from journeys.domain.messages import Enroll
from journeys.sending import send_started
from journeys.store import entering
from shared import Dead, Done, MessageJob, Ports


async def enroll(message: Enroll, ports: Ports) -> Done | Dead:
    """Enter contacts into a journey; a request counts once for each contact.

    SQL: `enter.sql` (`enter`).
    """
    data, db = message.data, ports.db
    if not entering.knows(db, data.organization_id, data.journey_id):
        text = f"organization {data.organization_id} has no journey {data.journey_id}"
        return Dead("unknown_journey", "UnknownJourney", text)
    with db.transaction():
        entered = entering.enter(
            db,
            data.organization_id,
            data.journey_id,
            data.contact_ids,
            f"request:{data.request_id}",
            ports.clock(),
        )
    await send_started(entered.started, ports)
    return Done(len(data.contact_ids), len(entered.started), str(data.organization_id))


JOB = MessageJob(message=Enroll, handler=enroll, transaction=False)
