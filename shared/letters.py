"""What a delivery asks for: its body parsed, its job found, its message validated. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import ValidationError

from shared.delivery import Delivery
from shared.jobs import Job, Worker
from shared.messages import Message, WindowMessage, decode, object_meant
from shared.outcome import Dead
from shared.storable import printable

ERROR_TEXT_MAX = 2_000
_NAME = re.compile(r"\w{1,40}", re.ASCII)


@dataclass(frozen=True)
class Letter:
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
class Unread:
    """A delivery that was not understood; `job` is the one that it names all the same, if any."""

    delivery: Delivery
    job: Job | None


def read(delivery: Delivery, worker: Worker) -> Letter | Dead:
    """What the delivery asks for, or why nobody can answer it."""
    try:
        body = decode(delivery.body)
    except ValueError as error:
        return Dead("invalid", "InvalidBody", error_text(error))
    job = job_named(body.get("type"), worker)
    if job is None:
        return Dead("unknown_type", "UnknownType", f"{worker.name} has no job of this type")
    try:
        return Letter(delivery, job, job.message.model_validate(body | {"type": job.type}))
    except ValidationError as error:
        return Dead("invalid", "ValidationError", describe(error))


def job_named(name: object, worker: Worker) -> Job | None:
    """The job of that type or alias."""
    return worker.by_type.get(name) if isinstance(name, str) else None


def job_meant(body: object, worker: Worker) -> Job | None:
    """The job that a body names, however wrong the rest of it is."""
    meant = object_meant(body)
    return job_named(meant.get("type"), worker) if meant else None


def describe(error: ValidationError) -> str:
    """Which fields are wrong and why, without the values: those may be personal data."""
    problems = [
        f"{'.'.join(map(_named, e['loc'])) or 'body'}: {e['msg']}"
        for e in error.errors(include_input=False, include_url=False)
    ]
    return printable("; ".join(problems))[:ERROR_TEXT_MAX]


def _named(part: int | str) -> str:
    """A field as its sender calls it, unless that is no name: keys may be personal data too."""
    return str(part) if _NAME.fullmatch(str(part)) else "…"


def error_text(error: BaseException) -> str:
    """What an error says, fit for a column; its name where it says nothing. For a log line see
    shared/discreet.py."""
    if isinstance(error, ValidationError):
        return describe(error)
    return printable(str(error))[:ERROR_TEXT_MAX] or type(error).__name__
