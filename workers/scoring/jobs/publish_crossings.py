"""Continue publishing threshold events if the time of one invocation was not enough."""

from __future__ import annotations

from typing import Literal

from shared import Done, Message, MessageJob, Ports


class PublishCrossings(Message):
    type: Literal["scoring.publish-crossings"] = "scoring.publish-crossings"


async def publish_crossings(message: PublishCrossings, ports: Ports) -> Done:
    """Start another invocation, which publishes threshold events after its batch."""
    return Done()


JOB = MessageJob(message=PublishCrossings, handler=publish_crossings)
