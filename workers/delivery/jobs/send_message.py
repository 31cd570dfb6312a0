"""Accept the messages that the platform publishes today."""

from __future__ import annotations

from collections.abc import Sequence

from delivery.domain.messages import SendMessage
from delivery.queues import EMAIL, PUSH, SMS
from delivery.sending.batch import columns_of_event, insert
from shared import BatchJob, Dead, Done, Ports, RetryIn

QUEUE_OF = {"email": EMAIL, "sms": SMS, "push": PUSH}


async def send_message(
    messages: Sequence[SendMessage], ports: Ports
) -> list[Done | RetryIn | Dead]:
    """Insert messages, which the feeder sends. Each belongs in the queue of its channel.

    SQL: `producers.sql` (`insert_messages`).
    """
    accepted = [own for own in messages if _is_here(own, ports)]
    inserted = iter(insert([columns_of_event(own) for own in accepted], ports))
    return [next(inserted) if _is_here(own, ports) else _misplaced(own) for own in messages]


def _is_here(message: SendMessage, ports: Ports) -> bool:
    return ports.queue_name == QUEUE_OF[message.data.channel].name


def _misplaced(message: SendMessage) -> Dead:
    channel = message.data.channel
    text = f"a message of the channel {channel} belongs in {QUEUE_OF[channel].name}"
    return Dead("wrong_queue", "WrongQueue", text)


JOB = BatchJob(
    message=SendMessage,
    handler=send_message,
    queues=(EMAIL.name, SMS.name, PUSH.name),
    transaction=False,
)
