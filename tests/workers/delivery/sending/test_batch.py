"""Messages in whole, messages of the platform, and dead letters."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from delivery.domain.messages import SendMessage
from delivery.jobs.send_email import JOB
from delivery.jobs.send_message import send_message
from delivery.sending.batch import hold
from shared.jobs import DeadLetter
from shared.outcome import Done
from tests.workers.delivery.stage import NOW, Stage, org, person, reference


@pytest.fixture
def ready(stage: Stage) -> Stage:
    stage.organization()
    stage.contact(1)
    return stage


def full(key: str = "k", channel: str = "email", **data: Any) -> dict[str, Any]:
    content = {"email": {"subject": "Hi", "text": "Body"}, "sms": {"text": "Hi"}}
    own = {
        "organizationId": str(org()), "idempotencyKey": key, "contactId": str(person(1)),
        "content": content.get(channel, {"title": "Hi"}), **data,
    }  # fmt: skip
    return {"type": f"delivery.send-{channel}", "data": own}


def rows(stage: Stage) -> list[dict[str, Any]]:
    return stage.db.rows("select * from delivery.messages order by created_at, idempotency_key")


def test_a_message_in_whole_is_a_row_that_the_feeder_sends(ready: Stage) -> None:
    body = full(content={"subject": "Hi", "text": "B", "from": "me@acme.example",
                         "replyTo": "you@acme.example"}, **{"class": "transactional"})  # fmt: skip
    [outcome] = ready.consume([body])
    assert isinstance(outcome, Done)
    [row] = rows(ready)
    assert (row["state"], row["on_uncertain"]) == ("pending", "retry")
    assert row["content"]["reply_to"] == "you@acme.example"
    assert (row["expires_at"] - NOW).total_seconds() == 24 * 3600
    ready.consume(ready.feed())
    assert ready.state(row["id"])[0] == "sent"
    [kept] = [found for key, found in ready.captured.items() if "/calls/" not in key]
    assert kept["headers"]["Reply-To"] == "you@acme.example"


def test_a_key_counts_once(ready: Stage) -> None:
    ready.consume([full("k"), full("k"), full("other")])
    ready.consume([full("k", content={"subject": "Different", "text": "B"})])
    assert [row["idempotency_key"] for row in rows(ready)] == ["k", "other"]
    assert [event["count"] for event in ready.outside.named("delivery.key_reused")] == [1, 1]


def test_marketing_is_held_after_doubt_whatever_is_asked(ready: Stage) -> None:
    ready.consume([full("a"), full("b", contactId=str(person(9)))])
    first, second = rows(ready)
    assert (first["on_uncertain"], first["class"]) == ("hold", "marketing")
    assert (second["state"], second["reason"]) == ("skipped", "unknown_contact")


def test_a_later_message_waits(ready: Stage) -> None:
    ready.consume([full(notBefore="2026-03-11T11:00:05Z")])
    [row] = rows(ready)
    assert (row["state"], row["reason"]) == ("deferred", "not_before")
    assert (row["expires_at"] - NOW).days == 4
    assert ready.feed() == []


def test_what_the_platform_publishes_is_inserted_for_its_channel(ready: Stage) -> None:
    message = SendMessage.model_validate({
        "type": "delivery.SendMessage",
        "data": {"organizationId": str(org()), "channel": "sms", "contactId": str(person(1)),
                 "templateId": str(uuid4()), "idempotencyKey": "campaign:1"},
    })  # fmt: skip
    ports = replace(ready.ports(), queue_name="mauntic-send-sms")
    asyncio.run(send_message([message, message], ports))
    ports.db.close()
    [row] = rows(ready)
    assert (row["channel"], row["class"], row["state"]) == ("sms", "marketing", "pending")


def test_the_platform_enqueues_in_its_own_transaction(ready: Stage) -> None:
    call = (
        "select delivery.enqueue(:org, 'email', 'k', contact_id => :contact,"
        ' content => \'{"subject": "Hi", "text": "B"}\') as id'
    )
    [first] = ready.db.rows(call, org=org(), contact=person(1))
    [again] = ready.db.rows(call, org=org(), contact=person(1))
    assert isinstance(first["id"], UUID)
    assert again["id"] is None
    ready.outside.now = ready.row(first["id"])["created_at"]
    ready.consume(ready.feed())
    assert ready.state(first["id"])[0] == "sent"


@pytest.mark.parametrize(
    ("reason", "state", "is_held"),
    [
        ("failed", "queued", True),
        ("failed", "sending", False),
        ("failed", "deferred", False),
        ("exhausted", "queued", False),
    ],
)
def test_a_dead_letter_of_ours_holds_its_message(
    reason: str, state: str, is_held: bool, ready: Stage
) -> None:
    message = ready.message(1, 1, state=state, queued_until=NOW, lease_until=NOW, not_before=NOW)
    body = reference(message)
    letters = [
        DeadLetter(1, JOB.message.model_validate(body), body, reason, None, "m"),
        DeadLetter(2, None, "unreadable", reason, None, "m"),
    ]
    hold(letters, ready.worker)
    assert ready.state(message)[0] == ("held" if is_held else state)
    ready.later(hours=1)
    assert (len(ready.feed()) > 0) == (not is_held and state == "deferred")
