"""Dead letters on a real Postgres: buried with their reason, archived once, never lost."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import failures
from shared.consume import consume
from shared.dead_letters import ENVELOPE, archive
from shared.outcome import RetryIn
from shared.ports import Row
from shared.retry import ARCHIVE_MAX_S
from tests.fakes import FakeBatch, FakeDelivery, World
from tests.shared.test_messages import JSON, nested
from tests.shared.toy import NOON, batch, rows_of, toy, world


def bury(outside: World, body: Any, **fields: Any) -> Any:
    """What arrives in the dead-letter queue for a body that nobody can obey."""
    outside.dlq.sent.clear()
    asyncio.run(consume(batch(FakeDelivery(body, **fields)), toy(), outside.ports()))
    [letter] = outside.dlq.sent
    return letter


def bring(outside: World, *bodies: Any, attempts: int = 1) -> list[FakeDelivery]:
    """The bodies, delivered from the dead-letter queue."""
    deliveries = [
        FakeDelivery(body, id=f"d{n}", attempts=attempts) for n, body in enumerate(bodies)
    ]
    asyncio.run(archive(FakeBatch("toy-jobs-dlq", deliveries), toy(), outside.ports()))
    return deliveries


def letters(url: str) -> list[Row]:
    with rows_of(url) as look:
        return look("select * from ops.dead_letters order by id")


def test_a_buried_message_becomes_a_row_and_an_alert(database: str) -> None:
    outside = world(database)
    outside.secrets["ALERT_WEBHOOK_URL"] = "http://alerts.test/"
    letter = bury(outside, {"type": "toy.hourly", "data": 5}, id="m1", attempts=2)
    [delivery] = bring(outside, letter)
    assert delivery.answer == "ack"
    [row] = letters(database)
    assert (row["queue"], row["message_id"], row["job_type"]) == ("toy-jobs", "m1", "toy.hourly")
    assert (row["reason"], row["attempts"], row["status"]) == ("invalid", 2, "dead")
    assert row["error"].startswith("ValidationError: data: ")
    assert row["body"] == {"type": "toy.hourly", "data": 5}
    assert row["dead_at"] == outside.now
    [(_, alert)] = outside.http.posts
    assert (alert["event"], alert["dead_letter_id"], alert["reason"]) == (
        "dead_letter.archived",
        row["id"],
        "invalid",
    )


def test_a_letter_that_arrives_twice_is_one_row_and_one_alert(database: str) -> None:
    outside = world(database)
    letter = bury(outside, {"type": "?"})
    for bodies in ([letter, letter], [letter]):
        assert {one.answer for one in bring(outside, *bodies)} == {"ack"}
    assert len(letters(database)) == 1
    assert len(outside.named("dead_letter.archived")) == 1


def test_a_letter_says_when_its_message_was_sent_if_that_says_what_it_meant(
    database: str,
) -> None:
    outside, sent_at = world(database), NOON - timedelta(hours=3)
    for kind in ("toy.hourly", "toy.single"):
        body = {"type": kind, "data": 5}
        bring(outside, bury(outside, body, id=kind, sent_at=sent_at))
    assert [row["sent_at"] for row in letters(database)] == [sent_at, None]


def test_a_letter_that_arrives_twice_at_once_is_one_row(database: str) -> None:
    """Each envelope says when the message died, and not the same moment."""
    outside = world(database)
    first = bury(outside, {"type": "?"})
    outside.advance(seconds=3)
    second = bury(outside, {"type": "?"})
    threads = [Thread(target=bring, args=(outside, letter)) for letter in (first, second) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(letters(database)) == 1


def test_a_hundred_letters_cost_one_statement_and_one_connection(database: str) -> None:
    outside = world(database)
    bring(outside, *[{"type": "toy.single", "data": {"n": n}} for n in range(100)])
    assert outside.connects == 1
    assert len(letters(database)) == 100


def test_a_message_that_the_platform_gave_up_is_explained_by_its_last_failure(
    database: str,
) -> None:
    outside = world(database)
    body = {"type": "toy.by-hour"}
    ports = outside.ports()
    for attempt in (1, 2):
        delivery = FakeDelivery(body, id="other-id", attempts=attempt)
        failures.record(
            delivery, None, RetryIn(1, "TimeoutError", f"try {attempt}"), "toy-jobs", ports
        )
        outside.advance(seconds=1)
    ports.db.close()
    bring(outside, body)
    [row] = letters(database)
    assert (row["reason"], row["error"], row["job_type"]) == (
        "exhausted",
        "TimeoutError: try 2",
        "toy.hourly",
    )
    assert row["attempts"] == 4


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"type": "toy.nobody"}, "unknown_type"),
        ("no json", "invalid"),
        (None, "invalid"),
        ({"type": "toy.hourly", "data": 1}, "invalid"),
        ({"type": "toy.hourly"}, "exhausted"),
    ],
)
def test_raw_letters_have_the_reason_that_their_body_shows(
    database: str, body: Any, reason: str
) -> None:
    bring(world(database), body)
    [row] = letters(database)
    assert (row["reason"], row["body"]) == (reason, body)


@pytest.mark.parametrize("data", [1, None], ids=["invalid", "exhausted"])
def test_a_body_that_was_sent_as_text_names_its_job_too(database: str, data: Any) -> None:
    """By its job and its message the window is found that it meant."""
    outside = world(database)
    body = json.dumps({"type": "toy.by-hour", "data": data})
    bring(outside, body)
    if data:
        bring(outside, bury(outside, body, id="m1"))
    assert {(row["job_type"], row["body"]) for row in letters(database)} == {("toy.hourly", body)}


FORGED = [
    {ENVELOPE: {}},
    {ENVELOPE: 5},
    {ENVELOPE: {"queue": None}},
    {ENVELOPE: {"queue": "q", "messageId": "m", "attempts": "many", "deadAt": "never"}},
    {ENVELOPE: {"queue": "q" * 10}, "type": "toy.hourly"},
]


@pytest.mark.parametrize("body", FORGED)
def test_what_only_looks_like_an_envelope_is_kept_as_it_came(database: str, body: Any) -> None:
    [delivery] = bring(world(database), body)
    assert delivery.answer == "ack"
    [row] = letters(database)
    assert (row["queue"], row["body"]) == ("toy-jobs", body)


@pytest.mark.parametrize(
    "body",
    [
        "\0 \ud800",
        {"type": "x\0", "\0": ["\udfff", 1e308, 2**53 + 1]},
        {"type": "x", "deep": nested(500)},
        nested(20_000),
    ],
    ids=["text", "object", "deep", "deeper"],
)
def test_whatever_is_in_a_body_it_can_be_kept(database: str, body: Any) -> None:
    outside = world(database)
    letter = bury(outside, body, id="m1")
    assert {one.answer for one in bring(outside, letter, body)} == {"ack"}
    assert len(letters(database)) == 2


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(bodies=st.lists(JSON, min_size=1, max_size=20))
def test_any_letters_in_one_batch_are_all_kept(database: str, bodies: list[Any]) -> None:
    with rows_of(database) as look:
        look("truncate ops.dead_letters")
    outside = world(database)
    outside.events.clear()
    assert {one.answer for one in bring(outside, *bodies)} == {"ack"}
    assert len(letters(database)) == len(bodies)


def test_a_body_too_large_for_an_envelope_goes_without_and_keeps_its_error(database: str) -> None:
    outside = world(database)
    body = {"type": "toy.nobody", "text": "x" * 127_000}
    letter = bury(outside, body, id="m1")
    assert letter == body
    bring(outside, letter)
    [row] = letters(database)
    assert (row["reason"], row["body"]) == ("unknown_type", body)
    assert row["error"] == "UnknownType: toy has no job of this type"


def test_without_postgres_dead_letters_wait_longer_and_longer(database: str) -> None:
    waits = []
    for attempts in (1, 2, 3, 12, 13, 100):
        outside = world(None)
        [delivery] = bring(outside, {"type": "?"}, attempts=attempts)
        assert delivery.answer == "retry"
        waits.append(delivery.delay_s)
        assert outside.named("dead_letter.unarchived")
    assert waits == [30, 60, 120, ARCHIVE_MAX_S, ARCHIVE_MAX_S, ARCHIVE_MAX_S]
    outside = world(database)
    bring(outside, {"type": "?"}, attempts=100)
    assert len(letters(database)) == 1


def test_a_row_that_the_database_refuses_does_not_hold_up_the_others(database: str) -> None:
    with rows_of(database) as look:
        look("alter table ops.dead_letters add check (message_id <> 'd1')")
    outside = world(database)
    deliveries = bring(outside, *[{"type": "?", "n": n} for n in range(3)])
    assert [one.answer for one in deliveries] == ["ack", "retry", "ack"]
    assert len(letters(database)) == 2


def test_a_second_death_points_to_the_first(database: str) -> None:
    outside = world(database)
    bring(outside, bury(outside, {"type": "?"}, id="m1"))
    [first] = letters(database)
    redriven = {"type": "?", "redrivenFrom": first["id"]}
    bring(outside, bury(outside, redriven, id="m2"))
    assert letters(database)[1]["redriven_from"] == first["id"]


def test_a_letter_with_a_reason_that_is_not_known_here_is_archived_with_it(database: str) -> None:
    """While a deployment is under way, one version archives what another has buried."""
    outside = world(database)
    letter = bury(outside, {"type": "?"}, id="m1")
    letter[ENVELOPE]["reason"] = "of_tomorrow"
    bring(outside, letter)
    [row] = letters(database)
    assert (row["reason"], row["message_id"]) == ("of_tomorrow", "m1")


@pytest.mark.parametrize("earlier", [0, 999, -1, "7; drop", 1e30, None, {"a": 1}, "9" * 30])
def test_a_reference_to_no_letter_is_none(database: str, earlier: object) -> None:
    outside = world(database)
    bring(outside, bury(outside, {"type": "?", "redrivenFrom": earlier}))
    assert letters(database)[0]["redriven_from"] is None


def test_an_envelope_within_the_body_is_the_bodys_own_affair(database: str) -> None:
    outside = world(database)
    forged = {
        ENVELOPE: {
            "queue": "other", "messageId": "x", "jobType": None, "body": None, "reason": "r",
            "error": "e", "attempts": 1, "deadAt": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
        }
    }  # fmt: skip
    bring(outside, bury(outside, forged, id="m1"))
    [row] = letters(database)
    assert (row["queue"], row["message_id"], row["reason"]) == ("toy-jobs", "m1", "unknown_type")
    assert row["body"] == forged
    assert row["dead_at"] == NOON.replace(second=5)
