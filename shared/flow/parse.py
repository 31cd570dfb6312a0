"""What a delivery asks for: its body parsed, its job found, its message validated. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from shared.error_text import describe, error_text
from shared.flow.delivery import Delivery
from shared.jobs import Job, Worker
from shared.messages import Message, WindowMessage, decode, object_meant
from shared.outcome import Dead
from shared.queues import Queue


@dataclass(frozen=True)
class ParsedMessage:
    """A delivery that was understood: its job and its message."""

    delivery: Delivery
    job: Job
    message: Message

    @property
    def shard_key(self) -> str:
        """Its shard's name in the ledger, for example `2/4`; empty for what is no shard."""
        shard = self.message.shard if isinstance(self.message, WindowMessage) else None
        return shard.key if shard else ""


@dataclass(frozen=True)
class Rejected:
    """A delivery that was not understood; `job` is the one that it names all the same, if any.
    `is_legible` is False where its body could not even be read."""

    delivery: Delivery
    job: Job | None
    is_legible: bool = True


def read(
    delivery: Delivery, worker: Worker, queue: Queue, *, from_operator: bool = False
) -> ParsedMessage | Dead:
    """Return the message of a delivery of that queue, or the reason why no job accepts it.

    For an operator's own message the text has the names of unknown fields, which no log may have.
    """
    try:
        body = decode(delivery.body)
    except ValueError as error:
        return Dead("invalid", "InvalidBody", error_text(error))
    job = job_named(body.get("type"), worker)
    if job is None:
        return Dead("unknown_type", "UnknownType", f"{worker.name} has no job of this type")
    if not worker.accepts(job, queue):
        text = f"{job.type} belongs in {worker.queue_of(job).name}, not in {queue.name}"
        return Dead("wrong_queue", "WrongQueue", text)
    try:
        return ParsedMessage(delivery, job, _message(body, job))
    except ValidationError as error:
        text = describe(error, job.message, all_names=from_operator)
        return Dead("invalid", "ValidationError", text)


def parsed_body(body: object, worker: Worker) -> Message | None:
    """The message that a body holds; None if it is not a valid message of the worker."""
    try:
        fields = decode(body)
        job = job_named(fields.get("type"), worker)
        return _message(fields, job) if job else None
    except ValueError:  # pydantic's ValidationError is one too
        return None


def _message(body: dict[str, Any], job: Job) -> Message:
    return job.message.model_validate(body | {"type": job.type})


def job_named(name: object, worker: Worker) -> Job | None:
    """The job of that type or alias."""
    return worker.by_type.get(name) if isinstance(name, str) else None


def job_meant(body: object, worker: Worker) -> Job | None:
    """The job that a body names, however wrong the rest of it is."""
    meant = object_meant(body)
    return job_named(meant.get("type"), worker) if meant else None
