"""The configuration of a provider: names in camelCase or snake_case, values checked before use."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from delivery.domain.outgoing import MessageClass
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import Adapter, CannotSend, Secrets

_URL_LABEL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def value_of(secrets: Secrets, name: str) -> Any:
    """Return the value under the name, in camelCase or snake_case; None if there is none.

    >>> value_of({"access_key_id": "A"}, "accessKeyId"), value_of({}, "accessKeyId")
    ('A', None)
    """
    return secrets.get(name, secrets.get(snake_case(name)))


def optional(secrets: Secrets, name: str) -> str:
    """Return the text under the name; '' if there is none."""
    value = value_of(secrets, name)
    return value.strip() if isinstance(value, str) else ""


def required(secrets: Secrets, name: str) -> str:
    """Return the text under the name. Raises CannotSend, which pauses the configuration."""
    return optional(secrets, name) or _refuse(name)


def label(secrets: Secrets, name: str) -> str:
    """Return a text that becomes part of a host or a path: letters, digits, `-`, `_` and `.`."""
    text = required(secrets, name)
    is_label = _URL_LABEL.issuperset(text) and ".." not in f".{text}."
    return text if is_label else _refuse(name)


def missing_names(adapter: Adapter, secrets: Secrets) -> list[str]:
    """Return the required names that have no value."""
    return [name for name in adapter.required if not _has_one_of(secrets, name.split(" or "))]


def permits(adapter: Adapter, message_class: MessageClass, secrets: Secrets) -> bool:
    """Return True if the provider, so configured, sends messages of the class."""
    needed = adapter.class_secret.get(message_class)
    return message_class in adapter.classes and (not needed or bool(optional(secrets, needed)))


@cache
def snake_case(name: str) -> str:
    """
    >>> snake_case("accessKeyId")
    'access_key_id'
    """
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _has_one_of(secrets: Secrets, names: Iterable[str]) -> bool:
    return any(value_of(secrets, name) not in (None, "", {}) for name in names)


def _refuse(name: str) -> str:
    raise CannotSend(Verdict("pause", f"config_{snake_case(name)}"))
