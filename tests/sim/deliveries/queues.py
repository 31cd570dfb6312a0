"""The broker of the queues, for consumers that run at the same time."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.sim.broker import Broker, Delivered, DeliveredBatch, Message
from tests.sim.deliveries.invocation import Invocation

LOST = 0.04  # of the references to messages
GATHERED_S = 4


@dataclass
class SharedBroker(Broker):
    """Delivers the messages of a queue to several consumers at once, and loses references.

    `batch_max`: the most of a batch by queue. `loses_first`: the first reference to each message
    is lost.
    """

    batch_max: dict[str, int] = field(default_factory=dict)
    loses_first: bool = False
    on_change: Callable[[], None] = lambda: None
    references: set[str] = field(default_factory=set)
    vanished: int = 0

    def send(self, queue: str, body: Any, now: datetime, delay_s: float = 0) -> Message:
        if self._is_lost(body):
            self.vanished += 1
            return Message(f"lost{self.vanished}", queue, body, now, now)
        message = super().send(queue, body, now, delay_s)
        self.on_change()
        return message

    def _deliverable(self, queue: str, now: datetime, delay_s: float) -> datetime:
        """The platform waits a little for a batch to fill."""
        moment = super()._deliverable(queue, now, delay_s)
        return moment + timedelta(seconds=-moment.timestamp() % GATHERED_S)

    def _is_lost(self, body: Any) -> bool:
        """Only a reference: a message in whole is all that there is of it."""
        name = _reference(body)
        if name is None:
            return False
        is_first = name not in self.references
        self.references.add(name)
        if self.loses_first and is_first:
            return True
        return not self.is_calm and self.rng.random() < LOST

    def take_from(self, now: datetime, busy: Collection[str]) -> DeliveredBatch | None:
        """A part of what waits in one of the queues that have a consumer left."""
        visible = [own for own in self.waiting if own.visible_at <= now and own.queue not in busy]
        if not visible:
            return None
        queue = self.rng.choice(visible).queue
        batch = [message for message in visible if message.queue == queue]
        self.rng.shuffle(batch)
        most = min(self.batch_max.get(queue, 100), len(batch))
        batch = batch[: most if self.rng.random() < 0.6 else self.rng.randint(1, most)]
        taken = {id(message) for message in batch}
        self.waiting = [message for message in self.waiting if id(message) not in taken]
        for message in batch:
            message.attempts += 1
        return DeliveredBatch(queue, [Delivered(message) for message in batch])

    def settle(self, batch: DeliveredBatch, now: datetime, died: bool) -> None:
        super().settle(batch, now, died)
        self.on_change()


def _reference(body: Any) -> str | None:
    """The row that a queue message refers to: a message, or a part of a run."""
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict) or body["type"] == "delivery.Unsubscribe":
        return None
    if "part" in data:
        return f"{data['campaignId']} {data['part']}"
    return str(data["messageId"]) if "messageId" in data else None


class TimedBinding:
    """A queue's binding: `take(body, delay)` puts a message into the queue."""

    def __init__(self, take: Callable[[Any, int], object], invocation: Invocation) -> None:
        self._take, self._invocation = take, invocation

    async def sendBatch(self, messages: list[dict[str, Any]]) -> None:
        await self._invocation.meet()
        kind = self._invocation.kind
        is_refused = kind in ("queue", "half a queue")
        if is_refused:
            self._invocation.kind = None
            messages = messages[: len(messages) // 2] if kind == "half a queue" else []
        # Their order is that of a statement's rows, which Postgres does not promise.
        for message in sorted(messages, key=lambda own: json.dumps(own["body"])):
            body = json.loads(json.dumps(message["body"]))
            self._take(body, message.get("delaySeconds", 0))
        if is_refused:
            raise RuntimeError("Queue send failed")
