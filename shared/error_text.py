"""The text of an error, fit for a column. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from shared.sanitize import printable

ERROR_TEXT_MAX = 2_000  # characters
PROBLEMS_MAX = 20


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
    shared/telemetry/redaction.py."""
    if isinstance(error, ValidationError):
        return describe(error)
    return printable(str(error))[:ERROR_TEXT_MAX] or type(error).__name__
