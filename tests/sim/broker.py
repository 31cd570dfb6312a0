"""Queues like the platform's: at least once, in any order, with dead-letter queues."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from shared.ports import Backlog
from tests.sim.delays import Slowdown, deliverable_at

BATCH_MAX = 100
DUPLICATED, ACKS_LOST, UNMEASURED = 0.05, 0.5, 0.2  # probabilities


@dataclass
class Message:
    """A message in the queue, or a second copy of it."""

    id: str
    queue: str
    body: Any
    sent_at: datetime
    visible_at: datetime
    attempts: int = 0


@dataclass
class Delivered:
    """A message in a consumer's hands. Answers of a dead consumer are ignored."""

    message: Message
    answer: str | None = None
    delay_s: int = 0

    @property
    def id(self) -> str:
        return self.message.id

    @property
    def body(self) -> object:
        return json.loads(json.dumps(self.message.body))

    @property
    def attempts(self) -> int:
        return self.message.attempts

    @property
    def sent_at(self) -> datetime:
        return self.message.sent_at

    def beginning(self) -> str:
        return json.dumps(self.message.body)

    def ack(self) -> None:
        assert self.answer is None, "answered twice"
        self.answer = "ack"

    def retry(self, delay_s: int) -> None:
        assert self.answer is None, "answered twice"
        assert 0 <= delay_s <= 86_400
        self.answer, self.delay_s = "retry", delay_s


@dataclass
class DeliveredBatch:
    """The messages that a consumer receives."""

    queue: str
    deliveries: list[Delivered]

    def __iter__(self) -> Iterator[Delivered]:
        return iter(self.deliveries)


@dataclass
class Broker:
    """Queues by name: their retries and messages. Accounts for every message."""

    rng: Random
    max_retries: dict[str, int]
    slowdowns: Sequence[Slowdown] = ()
    waiting: list[Message] = field(default_factory=list)
    sent: int = 0
    buried: int = 0  # of these, sent to a dead-letter queue
    acked: dict[str, datetime] = field(default_factory=dict)  # id -> when last
    given_up: dict[str, Any] = field(default_factory=dict)  # id -> body, into a dead-letter queue
    lost: list[Message] = field(default_factory=list)
    is_calm: bool = False

    def send(self, queue: str, body: Any, now: datetime, delay_s: float = 0) -> Message:
        """Take a message; sometimes it is delivered twice."""
        self.sent += 1
        self.buried += queue.endswith("-dlq")
        # Messages that are sent together usually arrive together.
        on_its_way_s = self.rng.choice([1, 1, 1, self.rng.uniform(0.5, 5)])
        visible = self._deliverable(queue, now, delay_s + on_its_way_s)
        message = Message(f"m{self.sent}", queue, body, now, visible)
        self.waiting.append(message)
        if not self.is_calm and self.rng.random() < DUPLICATED:
            later = visible + timedelta(seconds=self.rng.choice([0, 3, 600, 4_000]))
            self.waiting.append(Message(message.id, queue, body, now, later))
        return message

    def _deliverable(self, queue: str, now: datetime, delay_s: float) -> datetime:
        visible_at = now + timedelta(seconds=delay_s)
        return deliverable_at(self.slowdowns, queue, now, visible_at)

    def backlog(self, queue: str) -> Backlog | None:
        """Return the queue's metrics; sometimes nothing."""
        if self.rng.random() < UNMEASURED:
            return None
        held = [message.sent_at for message in self.waiting if message.queue == queue]
        return Backlog(len(held), 0, min(held, default=None))

    def next_at(self) -> datetime | None:
        """Return the time at which the next message becomes visible."""
        return min((message.visible_at for message in self.waiting), default=None)

    def take(self, now: datetime) -> DeliveredBatch | None:
        """A batch of one queue, in any order."""
        visible = [message for message in self.waiting if message.visible_at <= now]
        if not visible:
            return None
        queue = self.rng.choice(visible).queue
        batch = [message for message in visible if message.queue == queue]
        self.rng.shuffle(batch)
        batch = batch[:BATCH_MAX]
        taken = {id(message) for message in batch}
        self.waiting = [message for message in self.waiting if id(message) not in taken]
        for message in batch:
            message.attempts += 1
        return DeliveredBatch(queue, [Delivered(message) for message in batch])

    def settle(self, batch: DeliveredBatch, now: datetime, died: bool) -> None:
        """Settle each message. The answers of a consumer that died may have arrived, or not."""
        unheard = died and self.rng.random() < ACKS_LOST
        for delivered in batch:
            if unheard or delivered.answer is None:
                self._again(delivered.message, now, self.rng.uniform(0, 30))
            elif delivered.answer == "ack":
                self.acked[delivered.id] = now
            else:
                self._again(delivered.message, now, delivered.delay_s)

    def _again(self, message: Message, now: datetime, delay_s: float) -> None:
        if message.attempts <= self.max_retries[message.queue]:
            message.visible_at = self._deliverable(message.queue, now, delay_s)
            self.waiting.append(message)
        elif message.queue.endswith("-dlq"):
            self.lost.append(message)
        else:
            self.given_up[message.id] = message.body
            self.send(f"{message.queue}-dlq", message.body, now)
