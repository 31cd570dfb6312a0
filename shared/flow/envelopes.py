"""The envelope of a dead letter on its way to the dead-letter queue, and how it is opened.

A producer can send a body that looks like an envelope. Consume wraps every message that it buries,
so such a body arrives inside a real envelope. It arrives bare only if the platform gave the message
up; then it can only describe what its producer could have caused anyway: a death in its own queue,
of a job of its own worker.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.body_limits import kept_part
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


# Within these bounds Postgres and Python can read it: a forged envelope must not stop the reader.
Moment = Annotated[
    AwareDatetime,
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC)),
]


class Envelope(BaseModel):
    """The known facts about a buried message."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    queue: str
    message_id: str
    job_type: str | None
    body: Any
    reason: str  # not a Reason, because envelopes of other versions of the worker are opened too
    error: str = Field(max_length=4_000)
    attempts: int = Field(ge=1, le=1_000)
    dead_at: Moment
    sent_at: Moment | None = None

    def plain(self) -> dict[str, Any]:
        """Return plain JSON values. The body is one already, and pydantic in WebAssembly fails for
        deep ones.
        """
        fields = self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"body"})
        return fields | {"body": self.body}


def seal(
    parsed: ParsedMessage | Rejected, dead: Dead, queue: Queue, now: datetime
) -> dict[str, Any]:
    """Return the message in its envelope, small enough for a queue with any body."""
    delivery, job = parsed.delivery, parsed.job
    envelope = Envelope(
        queue=queue.name,
        message_id=delivery.id,
        job_type=job.type if job else None,
        body=kept_part(delivery.body, queue.body_chars_max),
        reason=dead.reason,
        error=sanitize(join_error(dead.error_class, dead.error_text)),
        attempts=delivery.attempts,
        dead_at=now,
        sent_at=_sent_at(parsed, job),
    )
    return {ENVELOPE: envelope.plain()}


def _sent_at(parsed: ParsedMessage | Rejected, job: Job | None) -> datetime | None:
    """Return the time at which the message was sent, if it determines the window."""
    return parsed.delivery.sent_at if job and job.schedule else None


def open_envelope(body: object, intake: Intake) -> Envelope | None:
    """Return the envelope that this worker's consume made; None if the body is none."""
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
