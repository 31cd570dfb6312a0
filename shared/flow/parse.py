"""Parse a delivery: its body, its job, its validated message. Pure."""

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
    """A parsed delivery: its job and its message."""

    delivery: Delivery
    job: Job
    message: Message

    @property
    def shard_key(self) -> str:
        """The shard's name in the ledger, for example `2/4`; empty without a shard."""
        shard = self.message.shard if isinstance(self.message, WindowMessage) else None
        return shard.key if shard else ""


@dataclass(frozen=True)
class Rejected:
    """A rejected delivery; `job` is the one that it names, if any. `is_legible` is False if its
    body could not be read.
    """

    delivery: Delivery
    job: Job | None
    is_legible: bool = True


def read(
    delivery: Delivery, worker: Worker, queue: Queue, *, from_operator: bool = False
) -> ParsedMessage | Dead:
    """Return the message of a delivery of that queue, or the reason why no job accepts it.

    For an operator's own message the text contains the names of unknown fields, which logs may not
    have.
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
    """Return the message in a body; None if it is not a valid message of the worker."""
    try:
        fields = decode(body)
        job = job_named(fields.get("type"), worker)
        return _message(fields, job) if job else None
    except ValueError:  # pydantic's ValidationError is a ValueError
        return None


def _message(body: dict[str, Any], job: Job) -> Message:
    return job.message.model_validate(body | {"type": job.type})


def job_named(name: object, worker: Worker) -> Job | None:
    """Return the job with that type or alias."""
    return worker.by_type.get(name) if isinstance(name, str) else None


def job_meant(body: object, worker: Worker) -> Job | None:
    """Return the job that a body names, however invalid the rest of it is."""
    meant = object_meant(body)
    return job_named(meant.get("type"), worker) if meant else None
