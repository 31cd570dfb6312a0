"""Apply unsubscriptions by the link in an e-mail."""

from __future__ import annotations

from collections.abc import Sequence

from delivery.domain.messages import Unsubscribe, UnsubscribeData
from delivery.feedback.applying import apply
from delivery.providers.adapter import ProviderEvent
from delivery.queues import FEEDBACK
from delivery.store.feedback import Reported
from shared import BatchJob, Dead, Done, Ports, RetryIn


async def unsubscribe(messages: Sequence[Unsubscribe], ports: Ports) -> list[Done | RetryIn | Dead]:
    """Stop marketing to the recipients of messages, each once, also if the message is deleted.

    SQL: `feedback.sql` (`record_events`, `apply_events`).
    """
    return apply([[_reported(own.data)] for own in messages], ports)


def _reported(data: UnsubscribeData) -> Reported:
    event = ProviderEvent(
        event_id=f"msg:{data.message_id}:unsubscribed",
        kind="unsubscribed",
        occurred_at=data.received_at,
        message_id=str(data.message_id),
        suppression="unsubscribe",
    )
    return Reported(event, data.organization_id, None, "email", data.received_at, data.contact_id)


JOB = BatchJob(message=Unsubscribe, handler=unsubscribe, queues=(FEEDBACK.name,), transaction=False)
