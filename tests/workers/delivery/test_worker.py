"""The worker as its entry runs it: batches of its queues, and their dead letters."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.sending.compose import Composer
from delivery.worker import WORKER
from shared.flow.consume import consume
from shared.flow.dead_letters import archive
from tests.fakes import FakeBatch, FakeDelivery
from tests.workers.delivery.stage import Stage, org, person


@pytest.fixture
def ready(stage: Stage) -> Stage:
    stage.organization()
    for number in range(1, 4):
        stage.contact(number)
    return stage


def deliver(stage: Stage, queue: str, *bodies: Any) -> list[FakeDelivery]:
    """A batch of a queue; a dead-letter queue has the same name with `-dlq`."""
    batch = [FakeDelivery(body, id=f"m{place}") for place, body in enumerate(bodies)]
    work = archive if queue.endswith("-dlq") else consume
    stage.run(work(FakeBatch(queue, batch), WORKER, stage.ports()))
    return batch


def test_a_batch_is_sent_and_the_next_is_fed(ready: Stage) -> None:
    messages = [ready.message(number) for number in (1, 2)]
    references = ready.feed()
    waiting = ready.message(3)
    deliveries = deliver(ready, "mauntic-send-email", *references)
    assert [own.answer for own in deliveries] == ["ack", "ack"]
    assert {ready.state(own)[0] for own in messages} == {"sent"}
    assert ready.state(waiting)[0] == "queued"
    [fed] = ready.outside.producers["SEND_EMAIL"].sent[2:]
    assert fed["data"]["messageId"] == str(waiting)


def test_every_queue_delivered_twice_sends_once(ready: Stage) -> None:
    messages = [ready.message(number) for number in (1, 2, 3)]
    references = ready.feed()
    for _ in range(2):
        deliver(ready, "mauntic-send-email", *references, *references)
    assert [ready.row(own)["attempts"] for own in messages] == [1, 1, 1]
    assert len(ready.db.rows("select 1 from analytics.contact_activity")) == 3


def test_an_error_of_ours_ends_as_a_held_message(
    ready: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Composer, claimed: Any) -> Any:
        raise KeyError("p1@people.example")

    monkeypatch.setattr(Composer, "compose", broken)
    message = ready.message()
    deliver(ready, "mauntic-send-email", *ready.feed())
    assert ready.state(message)[0] == "claimed"
    letters = ready.outside.dlq.sent
    deliver(ready, "mauntic-send-email-dlq", *letters)
    assert ready.state(message) == ("held", "dead_letter")
    [row] = ready.db.rows("select queue, reason from ops.dead_letters")
    assert (row["queue"], row["reason"]) == ("mauntic-send-email", "failed")
    assert "people.example" not in str(ready.outside.events)
    monkeypatch.undo()
    ready.later(hours=1)
    ready.sweep()
    assert ready.feed() == []
    assert ready.state(message)[0] == "held"


def test_without_postgres_the_batch_comes_again(ready: Stage) -> None:
    ready.message()
    references = ready.feed()
    ready.outside.url = None
    deliveries = deliver(ready, "mauntic-send-email", *references)
    assert [own.answer for own in deliveries] == ["retry"]


def test_a_message_of_another_channel_is_a_dead_letter(ready: Stage) -> None:
    ready.message()
    deliver(ready, "mauntic-send-sms", *ready.feed())
    [letter] = ready.outside.dlq.sent
    assert letter["deadLetter"]["reason"] == "wrong_queue"


def test_a_message_with_a_large_content_is_taken_or_kept_whole(ready: Stage) -> None:
    """Content of a tenth of a megabyte is common in e-mails, and in reports of providers."""
    html = "<p>é</p>" * 13_000
    data = {
        "organizationId": str(org()),
        "contactId": str(person(1)),
        "idempotencyKey": "large",
        "content": {"subject": "Large", "html": html},
    }
    body = {"type": "delivery.send-email", "data": data}
    deliver(ready, "mauntic-send-email", body, body | {"type": "delivery.unknown"})
    [row] = ready.db.rows("select content from delivery.messages")
    assert row["content"]["html"] == html
    [letter] = ready.outside.dlq.sent
    deliver(ready, "mauntic-send-email-dlq", letter)
    [kept] = ready.db.rows("select body from ops.dead_letters")
    assert kept["body"] == body | {"type": "delivery.unknown"}
