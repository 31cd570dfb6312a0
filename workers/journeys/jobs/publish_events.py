"""Continue publishing events if the time of one invocation was not enough."""

from __future__ import annotations

from typing import Literal

from shared import Done, Message, MessageJob, Ports


class PublishEvents(Message):
    type: Literal["journey.publish-events"] = "journey.publish-events"


async def publish_events(message: PublishEvents, ports: Ports) -> Done:
    """Start another invocation, which publishes events after its batch.

    SQL: `outbox.sql` (`take_events`).
    """
    return Done()


JOB = MessageJob(message=PublishEvents, handler=publish_events)
