"""A batch from JavaScript: small messages are read together, any other alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from shared.adapters.deliveries import (
    PARSED_DEPTH_MAX,
    TOGETHER_BYTES_MAX,
    TOGETHER_MAX,
    QueueBatch,
    QueueDelivery,
)
from shared.body_limits import BODY_CHARS_MAX, Unparsed, kept_part
from shared.flow.envelopes import open_envelope
from shared.flow.intake import Intake
from shared.flow.parse import ParsedMessage, read
from shared.outcome import Dead
from shared.sanitize import DEPTH_MAX
from tests.fakes import json_bytes
from tests.poison import MESSAGE_CHARS, POISON
from tests.processor_time import own_time
from tests.shared.toy import toy

INTAKE = Intake.of(toy(), "toy-jobs")

SENT = "2026-03-10T11:00:05.250Z"


class Unspeakable:
    """Values that JSON.stringify refuses: a BigInt, a circular reference."""


class FakeScript:
    """JSON as JavaScript writes it: a date becomes text, undefined values are left out."""

    def __init__(self) -> None:
        self.largest = 0  # of the texts that were passed to Python

    def stringify(self, value: Any) -> str | None:
        if isinstance(value, Raw):
            text: str | None = value.json
        else:
            text = _json(value)
        self.largest = max(self.largest, len(text or ""))
        return text

    def stringify_all(
        self, messages: Sequence[Any], start: int, stop: int, bytes_max: int
    ) -> str | None:
        texts = [_json(one) for one in messages[start:stop]]
        joined = ",".join(text or "" for text in texts)
        if None in texts or len(joined.encode()) > bytes_max:
            return None
        self.largest = max(self.largest, len(joined))
        return f"[{joined}]"


class Raw:
    """A body with known JSON, of any size and depth."""

    def __init__(self, text: str) -> None:
        self.json = text


def _json(value: Any) -> str | None:
    def plain(one: Any) -> Any:
        if isinstance(one, Unspeakable | Raw):
            raise TypeError
        if hasattr(one, "toISOString"):
            return one.toISOString()
        return {name: each for name, each in vars(one).items() if each is not None}

    try:
        return json.dumps(value, default=plain, separators=(",", ":"))
    except TypeError:
        return None


def deliveries(
    *bodies: Any, dead: bool = False, script: FakeScript | None = None, **limit: int
) -> list[QueueDelivery]:
    timestamp = SimpleNamespace(toISOString=lambda: SENT)
    messages = [
        SimpleNamespace(id=f"m{number}", attempts=number, timestamp=timestamp, body=body)
        for number, body in enumerate(bodies, 1)
    ]
    batch = SimpleNamespace(queue="toy-jobs", _binding=SimpleNamespace(messages=messages))
    return list(QueueBatch(batch, script or FakeScript(), of_dead_letters=dead, **limit))


def bodies_of(*bodies: Any, dead: bool = False) -> list[object]:
    found = deliveries(*bodies, dead=dead)
    assert [(one.id, one.attempts) for one in found] == [
        (f"m{n}", n) for n in range(1, len(bodies) + 1)
    ]
    sent_at = datetime(2026, 3, 10, 11, 0, 5, 250_000, tzinfo=UTC)
    assert all(one.sent_at == sent_at for one in found)
    return [one.body for one in found]


def nested(depth: int) -> Any:
    body: Any = 0
    for _ in range(depth):
        body = {"a": body}
    return body


def test_every_message_comes_with_its_own_body() -> None:
    assert bodies_of({"n": 1}, "text", None, [2**53, 1.5]) == [
        {"n": 1}, "text", None, [float(2**53), 1.5],
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, TOGETHER_MAX, TOGETHER_MAX + 1, 100])
def test_a_batch_of_any_size_keeps_its_order(count: int) -> None:
    assert bodies_of(*[{"n": n} for n in range(count)]) == [{"n": n} for n in range(count)]
    large = [{"n": n, "text": "x" * (TOGETHER_BYTES_MAX // 2)} for n in range(count)]
    assert bodies_of(*large) == large


def test_one_that_is_too_deep_stays_text_and_its_neighbors_are_read() -> None:
    """One or two levels more than a message may have are left to the check of the depth."""
    deepest, too_deep = nested(PARSED_DEPTH_MAX), nested(PARSED_DEPTH_MAX + 1)
    assert bodies_of({"n": 1}, too_deep, deepest) == [
        {"n": 1},
        Unparsed(json.dumps(too_deep, separators=(",", ":")), "the body is nested too deeply"),
        deepest,
    ]
    for body in (deepest, nested(DEPTH_MAX + 1)):
        outcome = read(deliveries(body)[0], toy(), INTAKE.queue)
        assert isinstance(outcome, Dead)
        assert outcome.error_text == "the body is nested too deeply"


@pytest.mark.parametrize("size_chars", [10, BODY_CHARS_MAX])
def test_the_deepest_and_largest_body_is_read_in_its_envelope(size_chars: int) -> None:
    body = {"deep": nested(DEPTH_MAX - 1), "text": "é" * size_chars}
    envelope = {"deadLetter": {"body": body}}
    assert bodies_of(envelope, {"x": "y" * 20_000}, dead=True)[0] == envelope
    assert bodies_of(envelope, dead=True) == [envelope]
    in_the_queue_itself = bodies_of(envelope)
    assert isinstance(in_the_queue_itself[0], dict if size_chars == 10 else Unparsed)


def test_one_that_is_no_json_is_text_and_its_neighbors_are_read() -> None:
    first, unspeakable, last = bodies_of({"n": 1}, Unspeakable(), {"n": 3})
    assert isinstance(unspeakable, Unparsed)
    assert (first, last) == ({"n": 1}, {"n": 3})


def test_one_that_is_too_large_is_not_parsed_and_kept_by_its_beginning() -> None:
    largest = {"x": "y" * (BODY_CHARS_MAX - 8)}
    assert len(json.dumps(largest, separators=(",", ":"))) == BODY_CHARS_MAX
    one_more = {"x": "y" * (BODY_CHARS_MAX - 7)}
    text = "ä" * 20_000
    read_whole, cut, cut_text = bodies_of(largest, one_more, text)
    assert read_whole == largest
    assert isinstance(cut, Unparsed)
    assert cut.text == json.dumps(one_more, separators=(",", ":"))[:BODY_CHARS_MAX]
    assert isinstance(cut_text, Unparsed)
    assert cut_text.text == text[:BODY_CHARS_MAX]


def test_a_queue_may_have_a_higher_limit() -> None:
    largest = {"x": "y" * 99_992}
    one_more = {"x": "y" * 99_993}
    read_whole, cut = (
        delivery.body for delivery in deliveries(largest, one_more, body_chars_max=100_000)
    )
    assert read_whole == largest
    assert isinstance(cut, Unparsed)
    assert cut.problem == "the body has 100001 characters; at most 100000 are read"


def test_what_a_dead_letter_keeps_of_one_that_is_not_read_is_its_text() -> None:
    beginnings = [one.beginning() for one in deliveries({"n": 1}, Unspeakable(), "x" * 20_000)]
    assert json.loads(beginnings[0]) == {"n": 1}
    assert beginnings[2] == "x" * BODY_CHARS_MAX


class Exploding(FakeScript):
    """Reading together fails, and so does reading the second alone."""

    def stringify_all(self, *_: Any) -> str | None:
        raise MemoryError

    def stringify(self, value: Any) -> str | None:
        if value == "explode":
            raise MemoryError
        return super().stringify(value)


def test_what_reading_together_raises_is_left_to_the_message_at_fault() -> None:
    first, second, third = deliveries({"n": 1}, "explode", {"n": 3}, script=Exploding())
    assert (first.body, third.body) == ({"n": 1}, {"n": 3})
    with pytest.raises(MemoryError):
        _ = second.body
    assert second.id == "m2"


def as_json(text: str) -> Raw:
    """Return the body as JSON: a text that is not JSON is a JSON string."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return Raw(json.dumps(text))
    return Raw(text)


@pytest.mark.parametrize("name", POISON)
@pytest.mark.parametrize("kind", ["text", "json"])
@pytest.mark.parametrize("dead", [False, True], ids=["queue", "dead letters"])
def test_poisoned_bodies_are_read_in_time_linear_in_their_bytes(
    name: str, kind: str, dead: bool
) -> None:
    """A quadratic pattern needs half a minute for one of them."""
    text = POISON[name](MESSAGE_CHARS)
    body: Any = text if kind == "text" else as_json(text)
    script = FakeScript()
    with own_time() as seconds:
        for delivery in deliveries(*[body] * 10, dead=dead, script=script):
            outcome = read(delivery, INTAKE.worker, INTAKE.queue)
            assert isinstance(outcome, Dead)
            assert outcome.reason in ("invalid", "unknown_type")
            assert open_envelope(delivery.body, INTAKE) is None
            assert json_bytes(kept_part(delivery.body)) <= 6 * BODY_CHARS_MAX + 2
        assert seconds() < 3
    assert script.largest <= 6 * MESSAGE_CHARS + 2  # one at a time, never two


@pytest.mark.parametrize("name", POISON)
def test_what_is_poison_in_full_is_harmless_at_the_limit(name: str) -> None:
    """At the largest size that is parsed."""
    for size_chars in (BODY_CHARS_MAX, BODY_CHARS_MAX // 6):
        text = POISON[name](size_chars)
        with own_time() as seconds:
            for delivery in deliveries(text, as_json(text)):
                assert isinstance(read(delivery, INTAKE.worker, INTAKE.queue), Dead | ParsedMessage)
                kept_part(delivery.body)
            assert seconds() < 0.5


def test_a_poisoned_body_in_an_envelope_costs_little_more() -> None:
    """A producer's message that the platform gave up may look like an envelope. Four times the text
    takes about four times as long, where quadratic time would be sixteen times."""
    for name, poison in POISON.items():
        quarter_s, whole_s = (
            _opening_s(poison((MESSAGE_CHARS - 100) // parts)) for parts in (4, 1)
        )
        assert whole_s < 8 * quarter_s + 0.2, name


def _opening_s(text: str) -> float:
    """Return the processor time for reading five envelopes of the text and their kept parts."""
    inner = as_json(text).json
    with own_time() as seconds:
        for delivery in deliveries(*[Raw(f'{{"deadLetter":{{"body":{inner}}}}}')] * 5, dead=True):
            assert open_envelope(delivery.body, INTAKE) is None
            kept_part(delivery.body)
        return seconds()
