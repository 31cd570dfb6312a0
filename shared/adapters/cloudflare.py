"""Handlers of the platform's events, and the ports of an invocation over its bindings."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.adapters.bindings import producer_of, settings_of
from shared.adapters.clock import InvocationClock
from shared.adapters.crypto import WebCrypto
from shared.adapters.deliveries import QueueBatch
from shared.adapters.email import BoundEmail
from shared.adapters.http import FetchHttp
from shared.adapters.javascript import RuntimeFetch, RuntimeSubtle, email_sender
from shared.adapters.postgres import pbkdf2
from shared.adapters.postgres.client import Postgres
from shared.adapters.postgres.pipelined import Connection
from shared.adapters.queue import BoundQueue
from shared.adapters.r2 import BoundBucket
from shared.adapters.telemetry import Telemetry
from shared.flow import dead_letters
from shared.flow.consume import consume
from shared.jobs import Worker
from shared.ports import Ports, Work
from shared.queues import Queue
from shared.tick.dispatch import dispatch

# Work after a batch starts this much later: by then the next batch, if there is one, waits for its
# database, and the work delays no message.
POST_RESPONSE_DELAY_S = 0.012
EMAIL_BINDING = "EMAIL"


async def answer_tick(controller: Any, env: Any, worker: Worker) -> None:
    """Handle `scheduled`: enqueue the windows due at the planned time, not at the time it fired."""
    tick = datetime.fromtimestamp(controller.scheduledTime / 1_000, UTC)
    outside = ports(env, worker.main_queue)
    try:
        await dispatch(worker, str(controller.cron), tick, outside)
    finally:
        outside.flush()


async def answer_batch(batch: Any, env: Any, ctx: Any, worker: Worker) -> None:
    """Handle `queue`: consume a queue of the worker, or archive the messages of a dead-letter
    queue.
    """

    async def wait_until(work: Work) -> None:
        ctx.waitUntil(_in_a_while(work))

    queue = worker.queue_named(str(batch.queue))
    outside = replace(ports(env, queue), wait_until=wait_until)
    is_dead = str(batch.queue) == queue.dead_letter_name
    deliveries = QueueBatch(
        batch, Script(), of_dead_letters=is_dead, body_chars_max=queue.body_chars_max
    )
    if not is_dead:
        await consume(deliveries, worker, outside)
        return
    try:
        await dead_letters.archive(deliveries, worker, outside)
    finally:
        outside.flush()


async def _in_a_while(work: Work) -> None:
    await asyncio.sleep(POST_RESPONSE_DELAY_S)
    await work


def ports(env: Any, queue: Queue) -> Ports:
    """Return the ports of one invocation, over the bindings that wrangler.toml names."""

    email = getattr(env, EMAIL_BINDING, None)
    settings = settings_of(env)

    def database() -> Postgres:
        return Postgres(lambda: _connect(env.DB))

    telemetry = Telemetry(lambda: env.METRICS._binding, _parse)
    return Ports(
        db=database(),
        queue=BoundQueue(getattr(env, queue.binding)),
        dead_letters=BoundQueue(getattr(env, queue.dead_letter_binding)),
        http=FetchHttp(settings, RuntimeFetch()),
        settings=settings,
        clock=InvocationClock(datetime.now(UTC)),
        random=random.random,
        log=telemetry.log,
        write_point=telemetry.write_point,
        bucket=lambda binding: BoundBucket(getattr(env, binding)),
        producer=lambda binding: producer_of(env, binding),
        crypto=WebCrypto(RuntimeSubtle()),
        email=BoundEmail(email_sender(email)) if email is not None else None,
        flush=telemetry.flush,
        connect=database,
        queue_name=queue.name,
    )


def _connect(hyperdrive: Any) -> Connection:
    pbkdf2.install()
    return Connection(
        user=hyperdrive.user,
        password=hyperdrive.password,
        host=hyperdrive.host,
        port=int(hyperdrive.port),
        database=hyperdrive.database,
        ssl_context=False,  # Hyperdrive encrypts the connection beyond this machine
    )


class Script:
    """JSON of JavaScript. It raises a JsException, whose class the host does not have, for values
    without JSON, such as a BigInt, or nested some thousand levels deep."""

    def stringify(self, value: Any) -> str | None:
        from js import JSON

        try:
            text = JSON.stringify(value)
        except Exception:
            return None
        return text if isinstance(text, str) else None

    def stringify_all(self, messages: Any, start: int, stop: int, bytes_max: int) -> str | None:
        from js import JSON, Blob

        try:
            texts = messages.slice(start, stop).map(JSON.stringify)
            if Blob.new(texts).size > bytes_max:  # measured before it is copied into Python
                return None
            return f"[{texts.join(',')}]"
        except Exception:
            return None


def _parse(text: str) -> Any:
    from js import JSON

    return JSON.parse(text)
