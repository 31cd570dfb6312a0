"""Accept the messages that the platform publishes today."""

from __future__ import annotations

from collections.abc import Sequence

from delivery.domain.messages import SendMessage
from delivery.queues import EMAIL, PUSH, SMS
from delivery.sending.batch import columns_of_event, insert
from shared import BatchJob, Dead, Done, Ports, RetryIn


async def send_message(
    messages: Sequence[SendMessage], ports: Ports
) -> list[Done | RetryIn | Dead]:
    """Insert messages of any channel, which the feeder sends.

    SQL: `producers.sql` (`insert_messages`).
    """
    return insert([columns_of_event(own) for own in messages], ports)


JOB = BatchJob(
    message=SendMessage,
    handler=send_message,
    queues=(EMAIL.name, SMS.name, PUSH.name),
    transaction=False,
)
