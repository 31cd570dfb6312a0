"""Valid and refused messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.body_limits import LARGE_BODY_CHARS_MAX
from shared.flow.parse import ParsedMessage, read
from shared.messages import Shard, decode, object_meant
from shared.outcome import Dead
from tests.fakes import FakeDelivery
from tests.shared.toy import Hourly, toy

QUEUE = toy().main_queue
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def nested(depth: int) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for _ in range(depth):
        body = {"a": body}
    return body


def test_text_is_parsed_as_json() -> None:
    assert decode('{"type": "toy.hourly"}') == {"type": "toy.hourly"}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a"',
        "[" * 100_000,
        '{"a":' * 100_000,
        "1" * 10_000,
        [],
        None,
        1,
        True,
        "[]",
        '"{}"',
        nested(65),
        nested(5_000),
        json.dumps(nested(100)),
    ],
    ids=lambda body: type(body).__name__,
)
def test_what_is_no_object_is_refused_in_words(body: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(body)
    outcome = read(FakeDelivery(body), toy(), QUEUE)
    assert isinstance(outcome, Dead)
    assert (outcome.reason, outcome.error_class) == ("invalid", "InvalidBody")


@given(body=JSON)
def test_whatever_the_body_reading_it_ends_in_a_letter_or_a_reason(body: Any) -> None:
    for sent in (body, {"type": "toy.hourly", "data": body}, {"type": body}):
        assert isinstance(read(FakeDelivery(sent), toy(), QUEUE), ParsedMessage | Dead)


@pytest.mark.parametrize("kind", [None, 1, [], {}, "toy.unknown", "TOY.HOURLY", ""])
def test_an_unknown_type_is_said_to_be_one(kind: object) -> None:
    outcome = read(FakeDelivery({"type": kind}), toy(), QUEUE)
    assert isinstance(outcome, Dead)
    assert outcome.reason == "unknown_type"


@pytest.mark.parametrize(
    "planned",
    [
        "2026-03-10T11:00:00",  # without a zone
        "2026-03-10",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "1773136800",
        1773136800,
        1e300,
        True,
        "yesterday",
        {},
    ],
)
def test_a_planned_time_is_an_unambiguous_moment_whose_window_exists(planned: object) -> None:
    outcome = read(FakeDelivery({"type": "toy.hourly", "scheduledFor": planned}), toy(), QUEUE)
    assert isinstance(outcome, Dead)
    assert outcome.error_text.startswith("scheduledFor: ")


def test_unknown_fields_are_ignored_above_and_refused_in_data() -> None:
    assert isinstance(
        read(FakeDelivery({"type": "toy.hourly", "redrivenFrom": 7}), toy(), QUEUE), ParsedMessage
    )
    outcome = read(FakeDelivery({"type": "toy.hourly", "data": {"organization": 1}}), toy(), QUEUE)
    assert isinstance(outcome, Dead)
    assert outcome.error_text == "data.…: Extra inputs are not permitted"


def test_a_reason_shows_no_value_and_nothing_that_cannot_be_stored() -> None:
    secret = {"type": "toy.hourly", "correlationId": 5, "data": {"\0\ud800": "eve@example.org"}}
    outcome = read(FakeDelivery(secret), toy(), QUEUE)
    assert isinstance(outcome, Dead)
    assert "eve@example.org" not in outcome.error_text
    assert "\0" not in outcome.error_text
    outcome.error_text.encode()


def test_an_alias_is_the_job_by_another_name() -> None:
    letter = read(FakeDelivery({"type": "toy.by-hour"}), toy(), QUEUE)
    assert isinstance(letter, ParsedMessage)
    assert letter.message == Hourly()


def test_a_message_without_a_planned_time_means_the_last_window_before_it_was_sent() -> None:
    sent = datetime(2026, 3, 10, 11, 20, tzinfo=UTC)
    assert Hourly().planned(sent) == sent
    planned = Hourly.model_validate({"scheduledFor": "2026-03-10T03:00:00+02:00"}).planned(sent)
    assert (planned, planned.utcoffset()) == (
        datetime(2026, 3, 10, 1, tzinfo=UTC),
        timedelta(0),
    )


def test_a_body_comes_back_as_the_same_message() -> None:
    message = Hourly.model_validate(
        {
            "scheduledFor": "2026-03-10T11:00:00Z",
            "correlationId": "c",
            "trigger": "backfill",
            "data": {"shard": {"index": 2, "of": 4, "run": 9, "firstOrganization": None}},
        }
    )
    body = json.loads(json.dumps(message.body()))
    assert Hourly.model_validate(body) == message
    assert message.shard == Shard(index=2, of=4, run=9)
    assert message.shard.key == "2/4"


def test_a_text_beyond_the_limit_is_not_parsed() -> None:
    """In any form: an adapter's limit is not this module's."""
    largest = json.dumps({"type": "a", "x": ""})
    largest = largest.replace('""', '"' + "x" * (LARGE_BODY_CHARS_MAX - len(largest)) + '"')
    assert decode(largest)["type"] == "a"
    for text in (f"{largest} ", "9" * 130_000):
        with pytest.raises(
            ValueError, match=f"{len(text)} characters; at most {LARGE_BODY_CHARS_MAX}"
        ):
            decode(text)
        assert object_meant(text) is None
