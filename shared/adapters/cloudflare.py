"""The platform's side of the ports: beside each `entry.py`, only this sees JS objects."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPMethod
from typing import Any

from shared import dead_letters
from shared.adapters import pbkdf2
from shared.adapters.connection import Connection
from shared.adapters.postgres import Postgres
from shared.adapters.queue import BoundQueue
from shared.adapters.r2 import BoundBucket
from shared.consume import consume
from shared.dispatch import dispatch
from shared.jobs import Worker
from shared.log import log
from shared.points import checked_point
from shared.ports import Ports
from shared.settings import Settings
from shared.storable import is_json_too_deep


async def answer_tick(controller: Any, env: Any, worker: Worker) -> None:
    """`scheduled`: enqueue what is due at the planned time, not at the time it fired."""
    tick = datetime.fromtimestamp(controller.scheduledTime / 1_000, UTC)
    await dispatch(worker, str(controller.cron), tick, ports(env, worker))


async def answer_batch(batch: Any, env: Any, worker: Worker) -> None:
    """`queue`: consume the worker's own queue, archive what arrives in its dead-letter queue."""
    deliveries = QueueBatch(batch)
    handle = dead_letters.archive if deliveries.queue == worker.queue.dead_letter_name else consume
    await handle(deliveries, worker, ports(env, worker))


def ports(env: Any, worker: Worker) -> Ports:
    """The ports of one invocation, over the bindings that wrangler.toml names."""

    def producer(binding: str) -> BoundQueue | None:
        queue = getattr(env, binding, None)
        return BoundQueue(queue) if queue is not None else None

    def setting(name: str) -> str | None:
        value = getattr(env, name, None)
        return None if value is None else str(value)

    def write_point(index: str, blobs: list[str], doubles: list[float]) -> None:
        env.METRICS.writeDataPoint(checked_point(index, blobs, doubles))

    return Ports(
        db=Postgres(lambda: _connect(env.DB)),
        queue=BoundQueue(getattr(env, worker.queue.binding)),
        dead_letters=BoundQueue(getattr(env, worker.queue.dead_letter_binding)),
        http=FetchHttp(),
        settings=Settings(setting),
        clock=lambda: datetime.now(UTC),
        random=random.random,
        log=log,
        write_point=write_point,
        bucket=lambda binding: BoundBucket(getattr(env, binding)),
        producer=producer,
    )


def _connect(hyperdrive: Any) -> Connection:
    pbkdf2.install()
    return Connection(
        user=hyperdrive.user,
        password=hyperdrive.password,
        host=hyperdrive.host,
        port=int(hyperdrive.port),
        database=hyperdrive.database,
        ssl_context=False,  # Hyperdrive itself encrypts what leaves the machine
    )


class QueueBatch:
    """A Batch over the platform's."""

    def __init__(self, batch: Any) -> None:
        self.queue = str(batch.queue)
        self._deliveries = [QueueDelivery(message) for message in batch.messages]

    def __iter__(self) -> Iterator[QueueDelivery]:
        return iter(self._deliveries)


class QueueDelivery:
    """A Delivery over the platform's message, whose timestamp is UTC without saying so."""

    def __init__(self, message: Any) -> None:
        self._message = message
        self.id = str(message.id)
        self.attempts = int(message.attempts)
        self.body = _body(message)
        stamp: datetime = message.timestamp
        self.sent_at = stamp.replace(tzinfo=UTC) if stamp.tzinfo is None else stamp

    def ack(self) -> None:
        self._message.ack()

    def retry(self, delay_s: int) -> None:
        self._message.retry(delaySeconds=delay_s)


def _body(message: Any) -> object:
    """The message's body, by way of JSON text.

    The SDK and every parser work by recursion, and a body that is nested a few hundred deep takes
    the whole interpreter with it, and every batch that it is redelivered in. It stays text, which
    nobody takes for a message.
    """
    from js import JSON

    text = JSON.stringify(message._binding.body)
    if not isinstance(text, str):
        return None
    return text if is_json_too_deep(text) else json.loads(text, parse_int=_number)


def _number(digits: str) -> int | float:
    """As JavaScript has it: what is beyond 2^53 is a float, and can be sent on as one."""
    number = int(digits)
    return number if abs(number) < 2**53 else float(digits)


class FetchHttp:
    """Http through the runtime's own fetch."""

    async def post_json(self, url: str, payload: dict[str, Any]) -> int:
        from workers import fetch  # it needs the runtime, which the host is not

        headers = {"content-type": "application/json"}
        body = json.dumps(payload)
        response = await fetch(url, method=HTTPMethod.POST, headers=headers, body=body)
        return int(response.status)
