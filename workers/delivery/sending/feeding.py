"""Send the references of the messages that are next."""

from __future__ import annotations

from delivery.domain.outgoing import Channel
from delivery.store import feeder
from delivery.store.feeder import Fed
from shared.errors import QueueUnavailable
from shared.ports import Ports

BINDINGS: dict[Channel, str] = {"email": "SEND_EMAIL", "sms": "SEND_SMS", "push": "SEND_PUSH"}
TYPES: dict[Channel, str] = {
    "email": "delivery.send-email",
    "sms": "delivery.send-sms",
    "push": "delivery.send-push",
}
DELAY_STEP_S = 15  # delays are rounded up to it, so that few calls of the queue carry them


async def feed(channel: Channel, ports: Ports, least: int = 1) -> int:
    """Queue the next messages of a channel and send their references; return how many.

    `least`: the free places of a class that are worth a look at what waits.
    A reference that the queue refuses is sent again by the sweep.
    """
    fed = feeder.feed(ports.db, channel, ports.clock(), least)
    producer = ports.producer(BINDINGS[channel]) if fed else None
    if producer is None:
        return 0
    by_delay: dict[int, list[dict[str, object]]] = {}
    for own in fed:
        delay_s = -(-own.delay_s // DELAY_STEP_S) * DELAY_STEP_S
        by_delay.setdefault(delay_s, []).append(_reference(channel, own))
    try:
        for delay_s, bodies in sorted(by_delay.items()):
            await producer.send(bodies, delay_s)
    except QueueUnavailable:
        ports.log("delivery.not_queued", level="warning", type=channel, count=len(fed))
    return len(fed)


def _reference(channel: Channel, own: Fed) -> dict[str, object]:
    data = {"organizationId": own.organization_id, "messageId": own.message_id}
    return {"type": TYPES[channel], "data": data}
