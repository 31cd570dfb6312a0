"""A batch as it comes from JavaScript: read at once, and one by one where that cannot be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from shared.adapters.deliveries import QueueBatch
from shared.storable import DEPTH_MAX

SENT = "2026-03-10T11:00:05.250Z"


class Unspeakable:
    """What JSON.stringify refuses: a BigInt, a circle."""


def message(number: int, body: Any) -> SimpleNamespace:
    timestamp = SimpleNamespace(toISOString=lambda: SENT)
    return SimpleNamespace(id=f"m{number}", attempts=number, timestamp=timestamp, body=body)


def stringify(value: Any) -> str | None:
    """As JavaScript does it: a date is its text, what is undefined is left out."""
    try:
        return json.dumps(value, default=_plain, separators=(",", ":"))
    except TypeError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, Unspeakable):
        raise TypeError
    if hasattr(value, "toISOString"):
        return value.toISOString()
    return {name: one for name, one in vars(value).items() if one is not None}


def read(*bodies: Any) -> list[tuple[str, int, object]]:
    messages = [message(number, body) for number, body in enumerate(bodies, 1)]
    batch = SimpleNamespace(queue="toy-jobs", _binding=SimpleNamespace(messages=messages))
    deliveries = list(QueueBatch(batch, stringify))
    assert {one.sent_at for one in deliveries} == {
        datetime(2026, 3, 10, 11, 0, 5, 250_000, tzinfo=UTC)
    }
    return [(one.id, one.attempts, one.body) for one in deliveries]


def nested(depth: int) -> Any:
    body: Any = 0
    for _ in range(depth):
        body = {"a": body}
    return body


def test_every_message_comes_with_its_own_body() -> None:
    assert read({"n": 1}, "text", None, [2**53, 1.5]) == [
        ("m1", 1, {"n": 1}),
        ("m2", 2, "text"),
        ("m3", 3, None),
        ("m4", 4, [float(2**53), 1.5]),
    ]


def test_one_that_is_too_deep_stays_text_and_its_neighbours_are_read() -> None:
    deepest, too_deep = nested(DEPTH_MAX), nested(DEPTH_MAX + 1)
    assert read({"n": 1}, too_deep, deepest) == [
        ("m1", 1, {"n": 1}),
        ("m2", 2, json.dumps(too_deep, separators=(",", ":"))),
        ("m3", 3, deepest),
    ]


def test_one_that_is_no_json_is_text_and_its_neighbours_are_read() -> None:
    [first, (_, _, unspeakable), last] = read({"n": 1}, Unspeakable(), {"n": 3})
    assert isinstance(unspeakable, str)
    assert (first, last) == (("m1", 1, {"n": 1}), ("m3", 3, {"n": 3}))
