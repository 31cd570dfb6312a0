"""`mauntic messages`: what became of a message, and what a person decides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from mauntic.operations.dead_letters import redrive_letters
from tests.mauntic.harness import Cli
from tests.workers.delivery.stage import Stage, org, person, reference

MAIL = "p1@people.example"


@pytest.fixture
def stage(database: str) -> Iterator[Stage]:
    """An organization with a contact and a provider, at the real time: commands have no clock."""
    stage = Stage(database)
    stage.outside.now = datetime.now(UTC).replace(microsecond=0)
    stage.organization()
    stage.contact()
    stage.config()
    yield stage
    stage.db.close()


def ids_of(cli: Cli, *words: str) -> list[str]:
    answer = cli("messages", "list", *words, "--json")
    assert answer.code == 0, answer.err
    return [row["id"] for row in answer.json]


def held(stage: Stage, **columns: Any) -> UUID:
    return stage.message(state="held", reason="exhausted", retries=4, lapses=2, **columns)


def uncertain(stage: Stage, **columns: Any) -> UUID:
    called = stage.outside.now - timedelta(hours=1)
    return stage.message(
        state="uncertain", reason="unknown", attempts=1, called_at=called, claimed_at=called,
        not_before=called, **columns,
    )  # fmt: skip


def test_what_waits_for_a_person_is_listed_first(cli: Cli, stage: Stage) -> None:
    waiting = {str(held(stage)), str(uncertain(stage))}
    pending = str(stage.message())
    assert set(ids_of(cli)) == waiting
    assert ids_of(cli, "--state", "pending") == [pending]
    assert len(ids_of(cli, "--uncertain")) == 1
    assert ids_of(cli, "--state", "pending", "--channel", "sms") == []
    assert set(ids_of(cli, "--contact", str(person(1)))) == waiting | {pending}
    assert ids_of(cli, "--organization", str(org(2))) == []


def test_final_messages_are_listed_by_contact_or_campaign(cli: Cli, stage: Stage) -> None:
    now = stage.outside.now
    job, campaign = uuid4(), uuid4()
    stage.db.execute(
        "insert into delivery.delivery_jobs (id, organization_id, channel, campaign_id)"
        " values (:job, :org, 'email', :campaign)",
        job=job, org=org(1), campaign=campaign,
    )  # fmt: skip
    sent = stage.message(state="sent", finished_at=now, job_id=job)
    stage.message(state="skipped", reason="suppressed", finished_at=now)
    assert ids_of(cli, "--campaign", str(campaign)) == [str(sent)]
    assert ids_of(cli, "--contact", str(person(1)), "--state", "sent") == [str(sent)]
    answer = cli("messages", "list", "--state", "sent")
    assert answer.code == 1
    assert "pass --contact or --campaign" in answer.err


def test_a_state_that_does_not_exist_is_named_with_the_nearest(cli: Cli, stage: Stage) -> None:
    answer = cli("messages", "list", "--state", "pendng")
    assert (answer.code, "did you mean pending?" in answer.err) == (1, True)


def test_one_screen_shows_why_a_message_is_not_sent(cli: Cli, stage: Stage) -> None:
    message = stage.message()
    stage.db.rows("select delivery.suppress(:org, :mail)", org=org(1), mail=MAIL)
    answer = cli("messages", "show", str(message), "--json")
    assert answer.code == 0, answer.err
    results = [(row["check"], row["result"], row["reason"]) for row in answer.json["checks"]]
    assert results == [
        (1, "passed", None),
        (2, "passed", None),
        (3, "passed", None),
        (4, "failed", "suppressed"),
        *((number, "not reached", None) for number in range(5, 12)),
    ]
    assert answer.json["attempts"] == answer.json["events"] == []


def test_the_checks_change_nothing(cli: Cli, stage: Stage) -> None:
    message = stage.message()
    before = stage.row(message)
    answer = cli("messages", "show", str(message), "--json")
    assert [row["result"] for row in answer.json["checks"]] == ["passed"] * 11
    assert stage.row(message) == before


def test_what_was_sent_is_shown_with_its_call_and_its_event(cli: Cli, stage: Stage) -> None:
    message = stage.message()
    stage.send(message)
    answer = cli("messages", "show", str(message), "--json")
    assert answer.json["message"]["state"] == "sent"
    [attempt] = answer.json["attempts"]
    assert (attempt["attempt"], attempt["verdict"], attempt["provider"]) == (
        1, "accepted", "postmark",
    )  # fmt: skip
    assert [event["event_type"] for event in answer.json["events"]] == ["sent"]


def test_neither_the_address_nor_the_content_is_shown(cli: Cli, stage: Stage) -> None:
    message = stage.message(content={"subject": "Private matter", "text": "Hidden"})
    stage.send(message)
    for words in (["show", str(message)], ["list", "--contact", str(person(1))]):
        for options in ([], ["--json"]):
            answer = cli("messages", *words, *options)
            assert answer.code == 0
            for secret in (MAIL, "Private", "Hidden"):
                assert secret not in answer.out + answer.err


def test_a_held_message_is_sent_again(cli: Cli, stage: Stage) -> None:
    message = held(stage)
    words = ("messages", "resolve", str(message), "--resend", "--yes", "--note", "key renewed")
    assert cli(*words, "--by", "ann").code == 0
    row = stage.row(message)
    assert (row["state"], row["retries"], row["lapses"]) == ("pending", 0, 0)
    [event] = stage.db.rows("select event_type, metadata from delivery.delivery_events")
    assert event["event_type"] == "resolved"
    metadata = event["metadata"]
    found = json.loads(metadata) if isinstance(metadata, str) else metadata
    assert found == {"to": "resend", "by": "ann", "note": "key renewed"}
    assert cli(*words).code == 1  # it no longer waits


@pytest.mark.parametrize("decision", ["sent", "failed"])
def test_an_uncertain_message_is_settled(cli: Cli, stage: Stage, decision: str) -> None:
    message = uncertain(stage)
    assert cli("messages", "resolve", str(message), f"--{decision}", "--yes").code == 0
    row = stage.row(message)
    assert (row["state"], row["finished_at"] is not None) == (decision, True)
    assert (row["sent_at"] == row["called_at"]) is (decision == "sent")


def test_an_uncertain_message_that_is_sent_again_may_arrive_twice(cli: Cli, stage: Stage) -> None:
    message = uncertain(stage, warmup_day=stage.outside.now.date())
    answer = cli("messages", "resolve", str(message), "--resend", "--dry-run")
    assert (answer.code, stage.state(message)[0]) == (0, "uncertain")
    answer = cli("messages", "resolve", str(message), "--resend")
    assert answer.code == 1  # without a terminal
    assert "1 may arrive a second time" in answer.err
    assert cli("messages", "resolve", str(message), "--resend", "--yes").code == 0
    row = stage.row(message)
    assert (row["state"], row["possible_duplicate"], row["on_uncertain"], row["warmup_day"]) == (
        "pending", True, "hold", None,
    )  # fmt: skip


@pytest.mark.parametrize("words", [[], ["--sent", "--failed"]])
def test_one_decision_is_passed(cli: Cli, stage: Stage, words: list[str]) -> None:
    answer = cli("messages", "resolve", str(uncertain(stage)), *words)
    assert (answer.code, "Pass one of" in answer.err) == (1, True)


def test_what_does_not_wait_is_not_decided(cli: Cli, stage: Stage) -> None:
    for message, words in ((stage.message(), "is pending"), (held(stage), "pass --resend")):
        answer = cli("messages", "resolve", str(message), "--failed", "--yes")
        assert (answer.code, words in answer.err) == (1, True)
    answer = cli("messages", "show", str(uuid4()))
    assert (answer.code, "There is no message" in answer.err) == (1, True)


def test_a_redriven_dead_letter_opens_its_held_message(stage: Stage) -> None:
    """The reference alone would be refused: a held message is opened by an operator only."""
    message, untouched = held(stage), held(stage)
    letters = stage.db.rows(
        "insert into ops.dead_letters"
        " (queue, message_id, job_type, body, reason, attempts, dead_at) values ("
        "'mauntic-send-email', 'm1', 'delivery.send-email', cast(:body as jsonb), 'failed', 1,"
        " now()) returning id",
        body=json.dumps(reference(message)),
    )
    ids = [letter["id"] for letter in letters]
    sent: list[Any] = []

    class Queues:
        def send(self, queue: str, bodies: Any, *_: Any) -> None:
            sent.append((queue, bodies))

    portions = redrive_letters(
        stage.db, Queues(), stage.db.rows("select * from ops.dead_letters"),  # type: ignore[arg-type]
        rate=10, by="ann", note=None, sleep=lambda _: None, advance=lambda _: None,
    )  # fmt: skip
    assert list(portions) == [ids]
    assert [queue for queue, _ in sent] == ["mauntic-send-email"]
    assert stage.state(message)[0] == "pending"
    assert stage.state(untouched)[0] == "held"
