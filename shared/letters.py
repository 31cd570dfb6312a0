"""What a delivery asks for: its body parsed, its job found, its message validated. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from shared.delivery import Delivery
from shared.jobs import Job, Worker
from shared.messages import Message, WindowMessage, decode, object_meant
from shared.outcome import Dead
from shared.storable import printable

ERROR_TEXT_MAX = 2_000
PROBLEMS_MAX = 20


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
    """A delivery that was not understood; `job` is the one that it names all the same, if any.
    `is_legible` is False where its body could not even be read."""

    delivery: Delivery
    job: Job | None
    is_legible: bool = True


def read(delivery: Delivery, worker: Worker, *, from_operator: bool = False) -> Letter | Dead:
    """What the delivery asks for, or why nobody can answer it. For an operator's own
    message the text has the names of unknown fields, which no log may have."""
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
        text = describe(error, job.message, all_names=from_operator)
        return Dead("invalid", "ValidationError", text)


def job_named(name: object, worker: Worker) -> Job | None:
    """The job of that type or alias."""
    return worker.by_type.get(name) if isinstance(name, str) else None


def job_meant(body: object, worker: Worker) -> Job | None:
    """The job that a body names, however wrong the rest of it is."""
    meant = object_meant(body)
    return job_named(meant.get("type"), worker) if meant else None


def describe(
    error: ValidationError, model: type[BaseModel] | None = None, *, all_names: bool = False
) -> str:
    """Which fields are wrong and why, without the values: those may be personal data.

    A field has its name where it is one of `model`; any other name is the sender's own, and may be
    personal data too. Without a model the kinds of the problems are all that is certain.
    """
    names = _field_names(model) if model else frozenset()
    problems = [
        f"{_path(e['loc'], None if all_names else names)}: {e['msg'] if model else e['type']}"
        for e in error.errors(include_input=False, include_url=False)[:PROBLEMS_MAX]
    ]
    return printable("; ".join(problems))[:ERROR_TEXT_MAX]


def _path(parts: tuple[int | str, ...], names: frozenset[str] | None) -> str:
    """The way to a field; None shows every name."""
    shown = [
        str(part) if names is None or isinstance(part, int) or part in names else "…"
        for part in parts
    ]
    return ".".join(shown) or "body"


@lru_cache(maxsize=64)
def _field_names(model: type[BaseModel]) -> frozenset[str]:
    """Every name that a field of the model has in JSON, and those of the models within it."""
    names = set()
    for name, field in model.model_fields.items():
        names.add(field.alias or name)
        for inner in _models_in(field.annotation):
            names |= _field_names(inner)
    return frozenset(names)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def error_text(error: BaseException) -> str:
    """What an error says, fit for a column; its name where it says nothing. For a log line see
    shared/discreet.py."""
    if isinstance(error, ValidationError):
        return describe(error)
    return printable(str(error))[:ERROR_TEXT_MAX] or type(error).__name__
