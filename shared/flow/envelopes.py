"""What a dead letter is wrapped in on its way to the dead-letter queue, and how it is unwrapped.

A producer can send a body that looks like an envelope. Consume wraps every message that it buries,
so such a body arrives within an envelope of ours. It arrives bare only where the platform gave the
message up; then it can say no more than what its producer could have brought about anyway: a death
in its own queue, of a job of its own worker.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.body_limits import kept
from shared.errors import join_error
from shared.flow.intake import Intake
from shared.flow.parse import ParsedMessage, Rejected
from shared.jobs import Job
from shared.outcome import Dead
from shared.queues import Queue
from shared.sanitize import sanitize

ENVELOPE = "deadLetter"
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_REASON = re.compile(r"[a-z_]{1,40}")


# Within these bounds Postgres and Python both read it: a forged one must not stop who reads it.
Moment = Annotated[
    AwareDatetime,
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC)),
]


class Envelope(BaseModel):
    """What is known of a message when it is buried."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    queue: str
    message_id: str
    job_type: str | None
    body: Any
    reason: str  # not a Reason: what another version of the worker buried is opened too
    error: str = Field(max_length=4_000)
    attempts: int = Field(ge=1, le=1_000)
    dead_at: Moment
    sent_at: Moment | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON. The body is that already, and pydantic in WebAssembly fails at deep ones."""
        known = self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"body"})
        return known | {"body": self.body}


def sealed(
    letter: ParsedMessage | Rejected, dead: Dead, queue: Queue, now: datetime
) -> dict[str, Any]:
    """The message in its envelope: whatever its body is, small enough for a queue."""
    delivery, job = letter.delivery, letter.job
    envelope = Envelope(
        queue=queue.name,
        message_id=delivery.id,
        job_type=job.type if job else None,
        body=kept(delivery.body),
        reason=dead.reason,
        error=sanitize(join_error(dead.error_class, dead.error_text)),
        attempts=delivery.attempts,
        dead_at=now,
        sent_at=_sent_at(letter, job),
    )
    return {ENVELOPE: envelope.plain()}


def _sent_at(letter: ParsedMessage | Rejected, job: Job | None) -> datetime | None:
    """When the message was sent, where that decides which window it meant."""
    return letter.delivery.sent_at if job and job.schedule else None


def opened(body: object, intake: Intake) -> Envelope | None:
    """The envelope that consume of this worker made; None where the body is none."""
    if not isinstance(body, dict) or body.keys() != {ENVELOPE}:
        return None
    try:
        envelope = Envelope.model_validate(body[ENVELOPE])
    except ValidationError:
        return None
    is_ours = (
        envelope.queue == intake.queue.name
        and (envelope.job_type is None or envelope.job_type in intake.worker.by_type)
        and _REASON.fullmatch(envelope.reason)
        and _ID.fullmatch(envelope.message_id)
    )
    return envelope if is_ours else None
