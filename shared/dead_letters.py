"""Dead letters: buried by consume with their reason, archived by the dead-letter queue's consumer.

A message that the platform itself gave up (its isolate was killed each time) arrives raw; its
reason is then looked up among the recorded failures. Both look alike in `ops.dead_letters`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared import alerts
from shared.delivery import Batch, Delivery
from shared.errors import DatabaseError, DatabaseUnreachable, error_class
from shared.failures import digest
from shared.jobs import Job, Worker
from shared.outcome import Dead, RetryIn
from shared.ports import Ports, Row
from shared.retry import delay_s
from shared.sql_blocks import SqlBlocks

SQL = SqlBlocks(Path(__file__).parent / "sql")

ENVELOPE = "deadLetter"
# While Postgres is down the dead letters wait, up to half a day a try: 100 tries outlast the
# fourteen days that the queue keeps them.
WAIT_MAX_S = 43_200


async def bury(delivery: Delivery, job: Job | None, dead: Dead, worker: Worker, ports: Ports) -> Dead | RetryIn:
    """Send the message to the dead-letter queue with its reason; RetryIn where that cannot be done."""
    letter = {
        "queue": worker.queue.name,
        "messageId": delivery.id,
        "jobType": job.type if job else None,
        "body": delivery.body,
        "reason": dead.reason,
        "error": f"{dead.error_class}: {dead.error_text}",
        "attempts": delivery.attempts,
        "deadAt": ports.clock().isoformat(),
    }
    try:
        await ports.dead_letters.send([{ENVELOPE: letter}])
    except Exception as error:  # whatever the binding raised, the message must not be lost
        ports.log("dead_letter.unsent", level="error", message_id=delivery.id, error=str(error))
        return RetryIn(delay_s(delivery.attempts, ports.random), error_class(error), str(error))
    return dead


async def archive(batch: Batch, worker: Worker, ports: Ports) -> None:
    """The consumer of the dead-letter queue: each dead letter becomes a row and an alert."""
    deliveries = list(batch)
    try:
        new = _insert(deliveries, worker, ports)
    except (DatabaseError, DatabaseUnreachable) as error:
        await _wait_or_part(deliveries, error, worker, ports)
        return
    finally:
        ports.db.close()
    for delivery in deliveries:
        delivery.ack()
    for row in new:
        await alerts.send(
            "dead_letter.archived",
            ports,
            queue=row["queue"],
            type=row["job_type"],
            reason=row["reason"],
            message_id=row["message_id"],
            dead_letter_id=row["id"],
        )


async def _wait_or_part(deliveries: list[Delivery], error: Exception, worker: Worker, ports: Ports) -> None:
    if len(deliveries) > 1 and isinstance(error, DatabaseError):
        for delivery in deliveries:
            await archive(_Single(worker.queue.dead_letter_name, delivery), worker, ports)
        return
    ports.log("dead_letter.unarchived", level="error", count=len(deliveries), error=str(error))
    for delivery in deliveries:
        delivery.retry(min(WAIT_MAX_S, 30 * 2 ** min(delivery.attempts - 1, 11)))


def _insert(deliveries: Sequence[Delivery], worker: Worker, ports: Ports) -> list[Row]:
    letters = [_letter(delivery, worker) for delivery in deliveries]
    return ports.db.rows(SQL["archive_dead_letters"], letters=json.dumps(letters), now=ports.clock())


def _letter(delivery: Delivery, worker: Worker) -> dict[str, Any]:
    """The row to be: from our envelope, or from a message that the platform gave up."""
    body = delivery.body
    if isinstance(body, dict) and isinstance(body.get(ENVELOPE), dict):
        known = body[ENVELOPE]
        original = known.get("body")
    else:
        original = body
        known = {
            "queue": worker.queue.name,
            "messageId": delivery.id,
            "reason": "exhausted",
            "attempts": worker.queue.deliveries_max,
            "deadAt": delivery.sent_at.isoformat(),
            "jobType": _job_type(original, worker),
        }
    return storable({**known, "body": original, "bodyDigest": digest(original)})


def _job_type(body: object, worker: Worker) -> str | None:
    kind = body.get("type") if isinstance(body, dict) else None
    job = worker.by_type.get(kind) if isinstance(kind, str) else None
    return job.type if job else None


def storable(value: Any) -> Any:
    """The value without what jsonb refuses: NUL characters, lone surrogates, NaN."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, dict):
        return {storable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    if isinstance(value, float) and not (abs(value) <= 1.7976931348623157e308):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


class _Single:
    """A batch of one."""

    def __init__(self, queue: str, delivery: Delivery) -> None:
        self.queue = queue
        self._deliveries = [delivery]

    def __iter__(self) -> Any:
        return iter(self._deliveries)


