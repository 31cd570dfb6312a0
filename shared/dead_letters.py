"""Dead letters: buried by consume with their reason, archived by the dead-letter queue's consumer.

A message that the platform itself gave up (its isolate was killed each time) arrives raw; its
reason is then looked up among the recorded failures. Both look alike in `ops.dead_letters`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared import alerts, failures
from shared.delivery import Delivery
from shared.discreet import told
from shared.errors import DatabaseUnreachable, error_class
from shared.failures import digest
from shared.jobs import Worker
from shared.letters import Letter, Unread, error_text, job_meant, read
from shared.outcome import Dead, RetryIn
from shared.ports import Ports, Row
from shared.retry import archive_delay_s, delay_s
from shared.statements import SQL
from shared.storable import DEPTH_MAX, storable

ENVELOPE = "deadLetter"
# A queue takes 128 KB a message: https://developers.cloudflare.com/queues/platform/limits/
ENVELOPE_BYTES_MAX = 127_000


class Envelope(BaseModel):
    """What is known of a message when it is buried. A body of another form is no envelope."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    queue: str
    message_id: str
    job_type: str | None
    body: Any
    reason: str  # not a Reason: what another version of the worker buried is opened too
    error: str
    attempts: int = Field(ge=1, le=1_000)
    dead_at: AwareDatetime
    sent_at: AwareDatetime | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON. The body is that already, and pydantic in WebAssembly fails at deep ones."""
        known = self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"body"})
        return known | {"body": self.body}


async def bury(letter: Letter | Unread, dead: Dead, worker: Worker, ports: Ports) -> Dead | RetryIn:
    """Send the message to the dead-letter queue with its reason; RetryIn where that fails."""
    delivery = letter.delivery
    try:
        body: Any = {ENVELOPE: _envelope(letter, dead, worker, ports).plain()}
        if _json_bytes(body) > ENVELOPE_BYTES_MAX:  # it goes bare, its error is kept aside
            failures.record(delivery, letter.job, dead, worker.queue.name, ports)
            body = storable(delivery.body)
        await ports.dead_letters.send([body])
    except Exception as error:  # whatever was raised, neither it nor its neighbours may be lost
        ports.log("dead_letter.unsent", level="error", message_id=delivery.id, error=told(error))
        return RetryIn(
            delay_s(delivery.attempts, ports.random), error_class(error), error_text(error)
        )
    return dead


def _envelope(letter: Letter | Unread, dead: Dead, worker: Worker, ports: Ports) -> Envelope:
    delivery, job = letter.delivery, letter.job
    return Envelope(
        queue=worker.queue.name,
        message_id=delivery.id,
        job_type=job.type if job else None,
        body=storable(delivery.body),
        reason=dead.reason,
        error=storable(f"{dead.error_class}: {dead.error_text}"),
        attempts=delivery.attempts,
        dead_at=ports.clock(),
        sent_at=delivery.sent_at if job and job.schedule else None,
    )


def _json_bytes(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


async def archive(batch: Iterable[Delivery], worker: Worker, ports: Ports) -> None:
    """The consumer of the dead-letter queue: each dead letter becomes a row and an alert."""
    deliveries = list(batch)
    try:
        new = _insert(deliveries, worker, ports)
    except Exception as error:  # one that cannot be archived must not hold up the others
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


async def _wait_or_part(
    deliveries: list[Delivery], error: Exception, worker: Worker, ports: Ports
) -> None:
    if len(deliveries) > 1 and not isinstance(error, DatabaseUnreachable):
        for delivery in deliveries:
            await archive([delivery], worker, ports)
        return
    ports.log("dead_letter.unarchived", level="error", count=len(deliveries), error=told(error))
    for delivery in deliveries:
        delivery.retry(archive_delay_s(delivery.attempts))


def _insert(deliveries: Sequence[Delivery], worker: Worker, ports: Ports) -> list[Row]:
    letters = json.dumps([_letter(delivery, worker) for delivery in deliveries])
    with ports.db.transaction():
        ports.db.rows(SQL["archive_alone"], queue=worker.queue.dead_letter_name)
        return ports.db.rows(SQL["archive_dead_letters"], letters=letters, now=ports.clock())


def _letter(delivery: Delivery, worker: Worker) -> dict[str, Any]:
    """The row to be: from our envelope, or from a message that the platform gave up."""
    envelope = _opened(delivery.body) or _envelope_of(delivery, worker)
    known = envelope.plain()
    row: dict[str, Any] = storable(known | {"bodyDigest": digest(known["body"])}, DEPTH_MAX + 1)
    return row


def _opened(body: object) -> Envelope | None:
    """The envelope that consume sent, if the body is one."""
    if not isinstance(body, dict) or body.keys() != {ENVELOPE}:
        return None
    try:
        return Envelope.model_validate(body[ENVELOPE])
    except ValidationError:
        return None


def _envelope_of(delivery: Delivery, worker: Worker) -> Envelope:
    """What can be known of a message that came raw. Its error is for the archive to look up."""
    understood = read(delivery, worker)
    job = job_meant(delivery.body, worker)
    return Envelope.model_construct(
        queue=worker.queue.name,
        message_id=delivery.id,
        job_type=job.type if job else None,
        body=storable(delivery.body),
        reason=understood.reason if isinstance(understood, Dead) else "exhausted",
        attempts=worker.queue.deliveries_max,
        dead_at=delivery.sent_at,
    )
