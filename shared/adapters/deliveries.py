"""The platform's batch of messages, read in one crossing from JavaScript to Python."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from shared.storable import DEPTH_MAX, TOO_DEEP, is_json_too_deep

Stringify = Callable[[Any], str | None]  # JavaScript's own; None for what has no JSON


class QueueBatch:
    """The platform's batch: the queue it comes from, and its deliveries in their order."""

    def __init__(self, batch: Any, stringify: Stringify) -> None:
        self.queue = str(batch.queue)
        messages = batch._binding.messages  # JavaScript's own: the SDK would wrap each of them
        self._deliveries = [
            QueueDelivery(message, known)
            for message, known in zip(messages, _read(messages, stringify), strict=True)
        ]

    def __iter__(self) -> Iterator[QueueDelivery]:
        return iter(self._deliveries)


class QueueDelivery:
    """A Delivery over the platform's message, of which `known` is the plain account."""

    def __init__(self, message: Any, known: dict[str, Any]) -> None:
        self._message = message
        self.id: str = known["id"]
        self.attempts: int = known["attempts"]
        self.body: object = known.get("body")
        self.sent_at = datetime.fromisoformat(known["timestamp"]).astimezone(UTC)

    def ack(self) -> None:
        self._message.ack()

    def retry(self, delay_s: int) -> None:
        self._message.retry(delaySeconds=delay_s)


def _read(messages: Any, stringify: Stringify) -> list[dict[str, Any]]:
    """Id, attempts, timestamp and body of each message.

    The SDK and every parser work by recursion, and a body that is nested a few hundred deep takes
    the whole interpreter with it, and every batch that it is redelivered in. Where there is such a
    one, or one that is no JSON, each message is read alone.
    """
    text = stringify(messages)
    if text is None or is_json_too_deep(text, DEPTH_MAX + 2):
        return [_read_alone(message, stringify) for message in messages]
    known: list[dict[str, Any]] = json.loads(text, parse_int=_number)
    return known


def _read_alone(message: Any, stringify: Stringify) -> dict[str, Any]:
    text = stringify(message)
    if text is not None and not is_json_too_deep(text, DEPTH_MAX + 1):
        known: dict[str, Any] = json.loads(text, parse_int=_number)
        return known
    return {
        "id": str(message.id),
        "attempts": int(message.attempts),
        "timestamp": str(message.timestamp.toISOString()),
        "body": stringify(message.body) or TOO_DEEP,  # a text, which no job takes for a message
    }


def _number(digits: str) -> int | float:
    """As JavaScript has it: what is beyond 2^53 is a float, and can be sent on as one."""
    number = int(digits)
    return number if abs(number) < 2**53 else float(digits)
