"""Enter the members of a segment into the journey of its trigger."""

from __future__ import annotations

from datetime import timedelta

from journeys.domain.messages import RunTrigger
from journeys.sending import send_started
from journeys.store import triggers
from shared import Done, MessageJob, Ports

WORKING_MAX = timedelta(seconds=60)


async def run_trigger(message: RunTrigger, ports: Ports) -> Done:
    """Enter members of a segment, some thousand in each transaction; a message continues after a
    minute.

    SQL: `triggers.sql` (`lock_trigger`, `next_members`, `next_changes`, `next_blocked`),
    `migrations/0024_journeys.sql` has `journey.enter`.
    """
    trigger = (message.data.organization_id, message.data.trigger_id)
    seen = written = 0
    end = ports.clock() + WORKING_MAX
    while ports.clock() < end:
        with ports.db.transaction():
            own = triggers.lock(ports.db, trigger)
            if own is None or own.state == "building":  # journey.wake-due asks again
                break
            if own.state == "invalid":
                triggers.finish(ports.db, own)
                break
            entered, is_done = triggers.step(ports.db, own, ports.clock())
        await send_started(entered.started, ports)
        seen += len(entered.started) + entered.refused
        written += len(entered.started)
        if is_done:
            break
    else:
        await ports.queue.send([message.body()])
    return Done(seen, written, str(trigger[0]))


JOB = MessageJob(message=RunTrigger, handler=run_trigger, transaction=False)
