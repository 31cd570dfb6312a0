"""The operations that the vendor counts: those of runs, counted at the queues, points and buckets,
next to the model of docs/cost.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from delivery.providers.bodies import basic
from delivery.sending import feeding
from delivery.store import campaigns
from delivery.worker import WORKER
from shared.flow.consume import consume
from tests.fake_r2 import FakeR2
from tests.fakes import FakeBatch, FakeDelivery, FakeHttp
from tests.workers.delivery.campaigns.scene import Scene
from tests.workers.delivery.feedback.hooks import POSTMARK, postmark
from tests.workers.delivery.provider import Postmark
from tests.workers.delivery.stage import Stage, org, person
from tests.workers.hooks.internet import Internet, hook_url
from tools.delivery_operations import (
    Operations,
    of_messages,
    of_places,
    of_shadow,
    of_webhooks,
)

JOBS, EMAIL, FEEDBACK = "mauntic-delivery-jobs", "mauntic-send-email", "mauntic-delivery-feedback"
MESSAGES = 7


@pytest.fixture
def sender(database: str) -> Iterator[Stage]:
    """A live organization with seven contacts and Postmark, and every bucket and queue."""
    stage = Stage(database)
    stage.outside.http = Postmark()
    stage.outside.secrets["DELIVERY_MODE"] = "live"
    stage.outside.buckets["INBOX_R2"] = FakeR2(stage.clock)
    stage.organization()
    stage.config(secrets=POSTMARK)
    for number in range(1, MESSAGES + 1):
        stage.contact(number)
    with closing(stage):
        yield stage


def bucket(stage: Stage, binding: str) -> FakeR2:
    found = stage.outside.buckets[binding]
    assert isinstance(found, FakeR2)
    return found


def counted(
    stage: Stage, work: Callable[[], None], *queued: tuple[str, dict[str, Any]]
) -> Operations:
    """Count what the work and all that follows from it ask of the platform. `queued` are messages
    that others have sent; whatever the worker sends is delivered to it, too."""
    bindings = {JOBS: stage.outside.queue, EMAIL: stage.outside.producers["SEND_EMAIL"]}
    work()
    waiting = list(queued)
    messages = 0
    while True:
        for queue, binding in bindings.items():
            waiting += [(queue, body) for body in binding.sent]
            binding.sent.clear()
        if not waiting:
            break
        queue = waiting[0][0]
        batch = [body for name, body in waiting if name == queue]
        waiting = [own for own in waiting if own[0] != queue]
        messages += len(batch)
        deliveries = [FakeDelivery(body, id=f"{messages}.{n}") for n, body in enumerate(batch)]
        stage.run(consume(FakeBatch(queue, deliveries), WORKER, stage.ports()))
        assert {own.answer for own in deliveries} == {"ack"}
    operations = [
        operation for name in stage.outside.buckets for operation, _ in bucket(stage, name).calls
    ]
    return Operations(
        queue_messages=messages,
        points=len(stage.outside.points),
        r2_writes=operations.count("put") + operations.count("list"),
        r2_reads=operations.count("get"),
    )


def insert(stage: Stage, **columns: Any) -> None:
    """Insert a message to each contact, and let the feeder send the references."""
    for number in range(1, MESSAGES + 1):
        stage.message(number, 1, **columns)
    ports = stage.ports()
    stage.run(feeding.feed("email", ports))
    ports.db.close()


def states(stage: Stage) -> set[tuple[str, str | None]]:
    rows = stage.db.rows("select state, reason from delivery.messages")
    assert len(rows) == MESSAGES
    return {(row["state"], row["reason"]) for row in rows}


@pytest.mark.parametrize("message_class", ["marketing", "transactional"])
def test_messages_in_bulk(sender: Stage, message_class: str) -> None:
    """A queue message and a point each, and a point of their one call."""
    found = counted(sender, lambda: insert(sender, **{"class": message_class}))
    assert found == of_messages(MESSAGES, calls=1) == Operations(7, 8)
    assert states(sender) == {("sent", None)}


def test_messages_in_whole_are_two_queue_messages(sender: Stage) -> None:
    def body(number: int) -> tuple[str, dict[str, Any]]:
        data = {
            "organizationId": str(org()), "idempotencyKey": f"k{number}", "class": "transactional",
            "contactId": str(person(number)), "content": {"subject": "Hi", "text": "Body"},
        }  # fmt: skip
        return EMAIL, {"type": "delivery.send-email", "data": data}

    found = counted(sender, lambda: None, *map(body, range(1, MESSAGES + 1)))
    assert found == of_messages(MESSAGES, calls=1, in_whole=True) == Operations(14, 15)
    assert states(sender) == {("sent", None)}


def test_messages_one_a_call(sender: Stage) -> None:
    """What differs by message in the sender is a call of its own: here each has its address."""
    sender.db.execute("delete from delivery.provider_configs")
    sender.config(provider_type="mailgun", secrets={"apiKey": "k", "domain": "acme.example"})
    sender.outside.secrets["HTTP_ALLOWED_HOSTS"] = "api.mailgun.net"
    sender.outside.http = FakeHttp()
    sender.outside.http.body = json.dumps({"id": "<1@x>", "message": "Queued"}).encode()
    found = counted(sender, lambda: insert(sender))
    assert states(sender) == {("sent", None)}
    assert found == of_messages(MESSAGES, calls=MESSAGES) == Operations(7, 14)


def test_a_campaign_has_a_message_for_its_start_and_for_each_part(
    sender: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaigns, "MEMBERS_MAX", 3)
    sender.db.execute("delete from delivery.sending_domains")
    sender.db.execute("delete from delivery.organization_settings")
    scene = Scene(sender)
    campaign = scene.campaign(scene.segment(*range(1, MESSAGES + 1)))
    data = {"organizationId": str(org()), "campaignId": str(campaign)}
    start = (JOBS, {"type": "delivery.send-campaign", "data": data})
    found = counted(sender, lambda: None, start)
    assert states(sender) == {("sent", None)}
    calls = len(sender.db.rows("select from delivery.calls"))
    assert found == of_messages(MESSAGES, calls=calls, parts=3)


def test_a_batch_of_a_warming_domain_reads_and_writes_one_counter(sender: Stage) -> None:
    sender.domain(age_days=0)
    found = counted(sender, lambda: insert(sender))
    assert (found.r2_writes, found.r2_reads) == (1, 1)
    assert (of_places(1).r2_writes, of_places(1).r2_reads) == (1, 1)
    assert states(sender) == {("sent", None)}


def test_a_shadow_run_writes_an_object_for_each_message(sender: Stage) -> None:
    del sender.outside.secrets["DELIVERY_MODE"]
    found = counted(sender, lambda: insert(sender))
    assert found == of_shadow(MESSAGES) == Operations(7, 7, r2_writes=7)
    assert states(sender) == {("skipped", "captured")}


@pytest.mark.parametrize("size", [10, 70_000])
def test_a_webhook_is_a_request_and_a_message(sender: Stage, size: int) -> None:
    """A large one is an object as well, which the consumer reads and deletes."""
    [config] = sender.db.rows("select id from delivery.provider_configs")
    message = sender.message(1, 1)
    sender.send(message)
    sender.outside.points.clear()
    body = json.dumps(postmark("Delivery", message, Note="x" * size)).encode()
    internet = Internet(now=sender.outside.now)
    internet.bucket = bucket(sender, "INBOX_R2")
    url = hook_url("postmark", config["id"])
    answer = internet.post(url, body, authorization=basic("u", "p"))
    assert answer.status == 200
    found = counted(sender, lambda: None, *[(FEEDBACK, own) for own in internet.sent])
    expected = of_webhooks(1, are_large=size > 64_000)
    assert (found.queue_messages, found.points) == (expected.queue_messages, expected.points)
    assert (found.r2_writes, found.r2_reads) == (expected.r2_writes, expected.r2_reads)
    assert expected.requests == 1
    kinds = sender.db.rows("select event_type from delivery.delivery_events")
    assert {"event_type": "delivered"} in kinds
