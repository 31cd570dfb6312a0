"""The text of an error, for a column of Postgres. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from shared.errors import CodedError
from shared.sanitize import printable

ERROR_TEXT_MAX = 2_000  # characters
PROBLEMS_MAX = 20


def describe(
    error: ValidationError, model: type[BaseModel] | None = None, *, all_names: bool = False
) -> str:
    """List the invalid fields with the reasons, without their values, which may be personal data.

    Only names of fields of `model` are shown: any other name comes from the sender, and may be
    personal data too. Without a model the list has the types of the problems instead of their
    messages. `all_names` shows every name.
    """
    names = _field_names(model) if model else frozenset()
    problems = [
        f"{_path(e['loc'], None if all_names else names)}: {e['msg'] if model else e['type']}"
        for e in error.errors(include_input=False, include_url=False)[:PROBLEMS_MAX]
    ]
    return printable("; ".join(problems))[:ERROR_TEXT_MAX]


def _path(parts: tuple[int | str, ...], names: frozenset[str] | None) -> str:
    """Return the path to a field. With names None it shows every name."""
    shown = [
        str(part) if names is None or isinstance(part, int) or part in names else "…"
        for part in parts
    ]
    return ".".join(shown) or "body"


@lru_cache(maxsize=64)
def _field_names(model: type[BaseModel]) -> frozenset[str]:
    """Return the JSON names of all fields of the model and of the models in it."""
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
    """Return the error's message without its class and code, or its class if it has no message.

    The text may contain personal data. Log lines use shared/telemetry/redaction.py instead.

    >>> error_text(CodedError("42P01", "relation does not exist"))
    'relation does not exist'
    """
    if isinstance(error, ValidationError):
        return describe(error)
    text = error.message if isinstance(error, CodedError) else str(error)
    return printable(text)[:ERROR_TEXT_MAX] or type(error).__name__
