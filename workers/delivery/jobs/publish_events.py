"""Continue publishing the platform's events if the time of one invocation was not enough."""

from __future__ import annotations

from typing import Literal

from delivery.queues import JOBS
from shared import Done, Message, MessageJob, Ports


class PublishEvents(Message):
    type: Literal["delivery.publish-events"] = "delivery.publish-events"


async def publish_events(message: PublishEvents, ports: Ports) -> Done:
    """Start another invocation, which publishes the platform's events after its batch.

    SQL: `outbox.sql` (`take_events`, `count_events`).
    """
    return Done()


JOB = MessageJob(message=PublishEvents, handler=publish_events, queues=(JOBS.name,))
