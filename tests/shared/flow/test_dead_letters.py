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

from shared.body_limits import BODY_CHARS_MAX, Unparsed
from shared.flow import attempts as failures
from shared.flow.consume import consume
from shared.flow.dead_letters import READ_TRIES, archive
from shared.flow.envelopes import ENVELOPE
from shared.outcome import RetryIn
from shared.ports import Row
from shared.retry import ARCHIVE_MAX_S
from shared.sanitize import DEPTH_MAX
from tests.fakes import FakeBatch, FakeDelivery, World
from tests.shared.test_messages import JSON, nested
from tests.shared.toy import NOON, CpuLimitExceeded, Unreadable, batch, rows_of, toy, world
from tests.thorough import examples


def bury(outside: World, body: Any, **fields: Any) -> Any:
    """The message in the dead-letter queue for an invalid body."""
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
        bring(outside, bury(outside, body, id=kind.replace(".", "-"), sent_at=sent_at))
    assert [row["sent_at"] for row in letters(database)] == [sent_at, None]


def test_a_letter_that_arrives_twice_at_once_is_one_row(database: str) -> None:
    """Each envelope contains a different time of death."""
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
    """Its window is found by its job and its message."""
    outside = world(database)
    body = json.dumps({"type": "toy.by-hour", "data": data})
    bring(outside, body)
    if data:
        bring(outside, bury(outside, body, id="m1"))
    assert {(row["job_type"], row["body"]) for row in letters(database)} == {("toy.hourly", body)}


GENUINE = {
    "queue": "toy-jobs", "messageId": "f00d-1", "jobType": "toy.hourly", "body": {"type": "x"},
    "reason": "invalid", "error": "e", "attempts": 4, "deadAt": "2026-03-10T11:00:00Z",
}  # fmt: skip


def test_an_envelope_says_what_consume_wrote(database: str) -> None:
    bring(world(database), {ENVELOPE: GENUINE})
    [row] = letters(database)
    assert (row["message_id"], row["body"], row["attempts"]) == ("f00d-1", {"type": "x"}, 4)


def test_an_envelope_cannot_come_from_the_future(database: str) -> None:
    outside = world(database)
    bring(outside, {ENVELOPE: GENUINE | {"deadAt": "2999-01-01T00:00:00Z"}})
    assert letters(database)[0]["dead_at"] == outside.now


@pytest.mark.parametrize("at_once", [True, False])
def test_a_known_message_id_keeps_no_other_letter_out(database: str, at_once: bool) -> None:
    """Not even a dead letter with the same time."""
    outside = world(database)
    real = bury(outside, {"type": "toy.hourly", "data": 5}, id="m1")
    forged = {ENVELOPE: real[ENVELOPE] | {"body": {"type": "mine"}, "reason": "failed"}}
    for bodies in ([forged, real],) if at_once else ([forged], [real]):
        bring(outside, *bodies)
    bring(outside, real)
    found = sorted((row["reason"], row["message_id"]) for row in letters(database))
    assert found == [("failed", "m1"), ("invalid", "m1")]


def test_a_forged_envelope_brings_nothing_into_log_or_alert(database: str) -> None:
    outside = world(database)
    outside.secrets["ALERT_WEBHOOK_URL"] = "http://alerts.test/"
    output = {"reason": "jane_doe", "error": "Jane Doe", "messageId": "Jane-Doe-491701234567"}
    bring(outside, {ENVELOPE: GENUINE | output})
    assert len(letters(database)) == 1
    reported = json.dumps([outside.events, outside.points, outside.http.posts], default=str)
    assert "jane" not in reported.lower()
    assert outside.http.posts[0][1]["reason"] == "other"


FORGED = [
    {ENVELOPE: {}},
    {ENVELOPE: 5},
    {ENVELOPE: {"queue": None}},
    {ENVELOPE: {"queue": "q", "messageId": "m", "attempts": "many", "deadAt": "never"}},
    {ENVELOPE: {"queue": "q" * 10}, "type": "toy.hourly"},
    *[
        {ENVELOPE: GENUINE | wrong}
        for wrong in (
            {"queue": "mauntic-scoring-events"},
            {"jobType": "jane.doe@example.org +49 170 1234567"},
            {"jobType": 7},
            {"messageId": "eve@example.org"},
            {"messageId": "x" * 65},
            {"messageId": ""},
            {"reason": "Jane Doe"},
            {"reason": "x" * 41},
            {"error": "x" * 4_001},
            {"attempts": 0},
            {"deadAt": "2026-03-10T11:00:00"},
            {"deadAt": "0001-01-01T00:00:00+14:00"},
            {"sentAt": "0001-01-01T00:00:00+14:00"},
            {"sentAt": "9999-12-31T23:59:59-14:00"},
        )
    ],
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
    max_examples=examples(30),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(bodies=st.lists(JSON, min_size=1, max_size=20), attempts=st.integers(1, 6))
def test_any_letters_in_one_batch_are_all_kept(
    database: str, bodies: list[Any], attempts: int
) -> None:
    with rows_of(database) as look:
        look("truncate ops.dead_letters")
    outside = world(database)
    outside.events.clear()
    assert {one.answer for one in bring(outside, *bodies, attempts=attempts)} == {"ack"}
    assert len(letters(database)) == len(bodies)


@pytest.mark.parametrize("character", ["x", "\x01", '"', "é", "\N{PILE OF POO}", "\0"])
@pytest.mark.parametrize("kind", [str, list, Unparsed])
def test_of_a_large_body_a_letter_keeps_the_beginning(
    database: str, kind: type, character: str
) -> None:
    """In its envelope, and never bare: a bare body could look like an envelope."""
    outside, text = world(database), character * 127_000
    sent = {str: text, list: ["toy.nobody", text], Unparsed: Unparsed(text, "it is too large")}
    letter = bury(outside, sent[kind], id="m1")
    assert letter.keys() == {ENVELOPE}
    bring(outside, letter)
    [row] = letters(database)
    assert (row["reason"], row["message_id"]) == ("invalid", "m1")
    beginning = '["toy.nobody","' if kind is list else ""
    assert row["body"].startswith(beginning)
    assert len(row["body"]) == BODY_CHARS_MAX
    if character.isprintable() and character != '"':
        assert row["body"] == (beginning + text)[:BODY_CHARS_MAX]


def test_the_largest_body_is_kept_whole(database: str) -> None:
    outside = world(database)
    body = {"type": "toy.nobody", "text": "x" * (BODY_CHARS_MAX - 31)}
    assert len(json.dumps(body, separators=(",", ":"))) == BODY_CHARS_MAX
    bring(outside, bury(outside, body, id="m1"))
    assert letters(database)[0]["body"] == body


def test_the_deepest_body_is_kept_whole(database: str) -> None:
    outside, body = world(database), nested(DEPTH_MAX - 1)
    bring(outside, bury(outside, body, id="m1"), body)
    assert [row["body"] for row in letters(database)] == [body, body]


def test_without_postgres_dead_letters_wait_longer_and_longer(database: str) -> None:
    waits = []
    for attempts in (1, 2, 3, 12, 13, 100):
        outside = world(None)
        [delivery] = bring(outside, {"type": "?"}, attempts=attempts)
        assert delivery.answer == "retry"
        waits.append(delivery.delay_s)
        assert outside.named("dead_letter.archive_failed")
    assert waits == [30, 60, 120, ARCHIVE_MAX_S, ARCHIVE_MAX_S, ARCHIVE_MAX_S]
    outside = world(database)
    bring(outside, {"type": "?"}, attempts=100)
    assert len(letters(database)) == 1


def test_an_outage_of_postgres_is_posted_once_a_letter(database: str) -> None:
    """Once for ten new dead letters; not again while the same ones wait."""
    outside = world(None)
    outside.secrets["ALERT_WEBHOOK_URL"] = "http://alerts.test/"
    for attempts in range(1, 8):
        bring(outside, *[{"type": "?", "n": n} for n in range(10)], attempts=attempts)
    [(_, alert)] = outside.http.posts
    assert (alert["event"], alert["count"]) == ("dead_letter.archive_failed", 10)
    assert alert["error"].startswith("DatabaseUnreachable: ")
    assert len(outside.named("dead_letter.archive_failed")) == 7


def test_letters_that_waited_for_postgres_are_archived_as_any_other(database: str) -> None:
    """Each as one row with the data of its envelope, and all of them in one alert."""
    outside = world(database)
    outside.secrets["ALERT_WEBHOOK_URL"] = "http://alerts.test/"
    bodies = [{"type": "toy.hourly", "data": 5, "n": n} for n in range(3)]
    sent = [bury(outside, body, id=f"m{n}") for n, body in enumerate(bodies)]
    deliveries = bring(outside, *sent, attempts=READ_TRIES + 1)
    assert [one.answer for one in deliveries] == ["ack"] * 3
    rows = letters(database)
    assert [(row["message_id"], row["reason"], row["body"]) for row in rows] == [
        (f"m{n}", "invalid", body) for n, body in enumerate(bodies)
    ]
    [(_, alert)] = outside.http.posts
    assert (alert["count"], alert["reason"], alert["type"]) == (3, "invalid", "toy.hourly")
    bring(outside, *sent, attempts=READ_TRIES + 2)
    assert letters(database) == rows


UNREADABLE = [CpuLimitExceeded(), SystemExit(1), RecursionError("deep"), MemoryError(), KeyError()]


def deliver(outside: World, *deliveries: FakeDelivery) -> list[str | None]:
    asyncio.run(archive(FakeBatch("toy-jobs-dlq", deliveries), toy(), outside.ports()))
    return [one.answer for one in deliveries]


@pytest.mark.parametrize("error", UNREADABLE, ids=repr)
def test_a_letter_that_cannot_be_read_is_archived_unread_after_a_few_tries(
    database: str, error: BaseException
) -> None:
    assert READ_TRIES <= 5, "each try may cost the time of a whole batch"
    outside = world(database)
    for attempts in range(1, READ_TRIES + 1):
        bad = Unreadable(error, id="bad", attempts=attempts)
        others = [FakeDelivery({"type": "?", "n": n}, id=f"{attempts}-{n}") for n in range(2)]
        assert deliver(outside, others[0], bad, others[1]) == ["ack", "retry", "ack"]
    bad = Unreadable(error, "its \0 text", id="bad", attempts=READ_TRIES + 1)
    good = FakeDelivery({"type": "?"}, id="good", attempts=READ_TRIES + 1)
    assert deliver(outside, bad, good) == ["ack", "ack"]
    [row] = [one for one in letters(database) if one["message_id"] == "bad"]
    assert (row["reason"], row["body"], row["status"]) == ("exhausted", "its \ufffd text", "dead")
    assert "could not be read" in row["error"]
    assert len(letters(database)) == 2 * READ_TRIES + 2


def test_a_letter_that_ends_the_isolate_is_acked_without_being_read_again(database: str) -> None:
    """The end of an isolate is not an exception, and earlier acks are lost with it."""
    outside = world(database)
    bad = Unreadable(KeyboardInterrupt(), id="bad", attempts=READ_TRIES + 1)
    with pytest.raises(KeyboardInterrupt):
        deliver(outside, FakeDelivery({"type": "?"}, id="first", attempts=READ_TRIES + 1), bad)
    assert bad.answer is None
    again = [
        FakeDelivery({"type": "?"}, id="first", attempts=READ_TRIES + 2),
        Unreadable(KeyboardInterrupt(), id="bad", attempts=READ_TRIES + 2),
        FakeDelivery({"type": "?"}, id="last", attempts=READ_TRIES + 2),
    ]
    assert deliver(outside, *again) == ["ack"] * 3
    assert {row["message_id"]: row["reason"] for row in letters(database)} == {
        "first": "unknown_type", "bad": "exhausted", "last": "unknown_type",
    }  # fmt: skip
    assert [one["message_id"] for one in outside.named("dead_letter.unread")] == ["bad"]


def test_a_letter_that_the_database_refuses_is_archived_unread_after_a_few_tries(
    database: str,
) -> None:
    with rows_of(database) as look:
        look("alter table ops.dead_letters add check (job_type is null)")
    outside = world(database)
    letter = bury(outside, {"type": "toy.hourly", "data": 5}, id="m1")
    [early] = bring(outside, letter, attempts=READ_TRIES)
    [late] = bring(outside, letter, attempts=READ_TRIES + 1)
    assert (early.answer, late.answer) == ("retry", "ack")
    [row] = letters(database)
    assert json.loads(row["body"])[ENVELOPE]["messageId"] == "m1"


def test_a_letter_that_could_be_read_after_all_replaces_its_text(database: str) -> None:
    """A copy of a dead letter that was written unread, delivered to another isolate."""
    outside = world(database)
    letter = bury(outside, {"type": "toy.hourly", "data": 5}, id="m1")
    deliver(outside, Unreadable(MemoryError(), id="d0", attempts=READ_TRIES + 1))
    assert [row["reason"] for row in letters(database)] == ["exhausted"]
    bring(outside, letter, attempts=1)
    assert [(row["reason"], row["message_id"]) for row in letters(database)] == [("invalid", "m1")]


def test_a_letter_whose_second_write_fails_is_tried_again(database: str) -> None:
    outside = world(database)
    letter = bury(outside, {"type": "toy.hourly", "data": 5}, id="m1")
    with rows_of(database) as look:
        look(
            "create function busy() returns trigger language plpgsql as $$ begin"
            " if new.job_type is not null then raise exception 'x' using errcode = '40001'; end if;"
            " return new; end $$"
        )
        look(
            "create trigger busy before insert on ops.dead_letters for each row"
            " execute function busy()"
        )
        [late] = bring(outside, letter, attempts=READ_TRIES + 1)
        assert (late.answer, letters(database)) == ("retry", [])
        look("drop trigger busy on ops.dead_letters")
    [later] = bring(outside, letter, attempts=READ_TRIES + 2)
    assert later.answer == "ack"
    assert [(row["reason"], row["message_id"]) for row in letters(database)] == [("invalid", "m1")]


def test_a_batch_of_letters_is_one_alert(database: str) -> None:
    outside = world(database)
    outside.secrets["ALERT_WEBHOOK_URL"] = "http://alerts.test/"
    bodies = [{"type": "?"}] * 2 + [{"type": "toy.hourly", "data": 5}] * 3 + ["no json"] * 4
    bring(outside, *[bury(outside, body, id=f"m{n}") for n, body in enumerate(bodies)])
    [(_, alert)] = outside.http.posts
    assert alert == {
        "event": "dead_letter.archived",
        "queue": "toy-jobs",
        "count": 9,
        "reason": "invalid 7, unknown_type 2",
        "type": "unknown 6, toy.hourly 3",
        "dead_letter_id": 1,
    }


def test_a_row_that_the_database_refuses_does_not_hold_up_the_others(database: str) -> None:
    with rows_of(database) as look:
        look("alter table ops.dead_letters add check (message_id <> 'd1')")
    outside = world(database)
    deliveries = bring(outside, *[{"type": "?", "n": n} for n in range(3)])
    assert [one.answer for one in deliveries] == ["ack", "retry", "ack"]
    assert len(letters(database)) == 2


def redrive(url: str) -> None:
    with rows_of(url) as look:
        look("update ops.dead_letters set status = 'redriven' where status = 'dead'")


@pytest.mark.parametrize(
    ("sent", "again"),
    [
        ({"type": "?"}, {"type": "?"}),
        ('{"type": "?"}', {"type": "?"}),
        ({"type": "?"}, {"type": "?", "scheduledFor": "2026-03-10T11:00:00+00:00"}),
        ({"type": "?", "n": [1.5, {"a": None}]}, {"n": [1.5, {"a": None}], "type": "?"}),
    ],
)
def test_a_second_death_points_to_the_first(database: str, sent: Any, again: Any) -> None:
    outside = world(database)
    bring(outside, bury(outside, sent, id="m1"))
    [first] = letters(database)
    redrive(database)
    bring(outside, bury(outside, again | {"redrivenFrom": first["id"]}, id="m2"))
    assert letters(database)[1]["redriven_from"] == first["id"]


@pytest.mark.parametrize("forged", ["body", "time", "status", "queue"])
def test_a_producer_cannot_claim_to_be_redriven(database: str, forged: str) -> None:
    outside = world(database)
    planned = {"type": "?", "scheduledFor": "2026-03-10T11:00:00Z"}
    bring(outside, bury(outside, planned, id="m1"))
    [first] = letters(database)
    if forged != "status":
        redrive(database)
    if forged == "queue":
        with rows_of(database) as look:
            look("update ops.dead_letters set queue = 'other'")
    body = planned | {"redrivenFrom": first["id"]}
    if forged == "body":
        body["extra"] = "mine"
    if forged == "time":
        body["scheduledFor"] = "2026-03-11T11:00:00Z"
    bring(outside, bury(outside, body, id="m2"))
    assert letters(database)[1]["redriven_from"] is None


def test_a_letter_with_a_reason_that_is_not_known_here_is_archived_with_it(database: str) -> None:
    """During a deployment one version archives what another has buried."""
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
