"""Apply the events of Cloudflare Email Sending, which a subscription of the queue delivers."""

from __future__ import annotations

from collections.abc import Sequence

from delivery.domain.cloudflare_events import EVENTS, CloudflareEvent
from delivery.feedback.applying import apply
from delivery.feedback.cloudflare import reported
from delivery.queues import FEEDBACK
from shared import BatchJob, Dead, Done, Ports, RetryIn


async def cloudflare_events(
    messages: Sequence[CloudflareEvent], ports: Ports
) -> list[Done | RetryIn | Dead]:
    """Apply what Cloudflare reports about a message.

    SQL: `feedback.sql` (`record_events`, `record_evidence`, `apply_events`).
    """
    return apply([reported(own, ports.clock()) for own in messages], ports)


JOB = tuple(
    BatchJob(message=event, handler=cloudflare_events, queues=(FEEDBACK.name,), transaction=False)
    for event in EVENTS
)
