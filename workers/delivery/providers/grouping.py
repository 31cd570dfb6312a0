"""Which messages one call carries."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from delivery.domain.outgoing import Outgoing, OutgoingEmail, OutgoingPush
from delivery.providers.adapter import Adapter

Message = TypeVar("Message", bound=Outgoing)


def calls_of(
    adapter: Adapter, messages: Sequence[Message], bulk_max: int | None = None
) -> list[list[Message]]:
    """Split messages of one configuration into calls: transactional first, otherwise in order.

    The messages of a call have the same class and sender, where needed the same content, and
    different addresses. `bulk_max` lowers the adapter's own.
    """
    most = min(adapter.bulk_max, bulk_max or adapter.bulk_max)
    calls: list[list[Message]] = []
    open_calls: dict[Hashable, _Open[Message]] = {}
    for message in sorted(messages, key=lambda message: message.message_class == "marketing"):
        added_bytes = adapter.entry_bytes(message) if most > 1 else None
        if added_bytes is None or added_bytes > adapter.call_bytes_max:
            calls.append([message])
            continue
        key = _key(adapter, message)
        call = open_calls.get(key)
        if call is None or not call.has_room(message, added_bytes, most, adapter.call_bytes_max):
            call = open_calls[key] = _Open()
            calls.append(call.messages)
        call.add(message, added_bytes)
    return calls


def content_identity(message: OutgoingEmail) -> Hashable:
    """Return the literal segments of subject, html and text. Two messages of a template have the
    same strings, whose hashes Python keeps: this costs nothing for each message."""
    return (message.subject.literals, message.html.literals, message.text.literals)


class _Open(Generic[Message]):
    """A call that may get more messages."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._addresses: set[str] = set()
        self._used_bytes = 0

    def has_room(self, message: Message, added_bytes: int, most: int, bytes_max: int) -> bool:
        is_small = self._used_bytes + added_bytes <= bytes_max and len(self.messages) < most
        return is_small and _address(message) not in self._addresses

    def add(self, message: Message, added_bytes: int) -> None:
        self.messages.append(message)
        self._addresses.add(_address(message))
        self._used_bytes += added_bytes


def _address(message: Outgoing) -> str:
    return (message.token if isinstance(message, OutgoingPush) else message.to).lower()


def _key(adapter: Adapter, message: Outgoing) -> Hashable:
    if not isinstance(message, OutgoingEmail):
        return message.message_class
    sender = (message.from_address, message.from_name, message.reply_to, message.reply_to_name)
    content = content_identity(message) if adapter.shares_content else ""
    return (message.message_class, *sender, content)
