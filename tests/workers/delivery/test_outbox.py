"""The platform's events: which are sent, once each, and what happens without a receiver."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from delivery.domain.verdict import Verdict
from delivery.outbox import EVENTS
from delivery.queues import EMAIL, JOBS
from delivery.store import sweeps
from delivery.worker import continue_after_batch
from shared import Queue
from tests.fakes import QueueBinding
from tests.workers.delivery.stage import NOW, Stage, org, person

JOB = UUID(int=0xD1)


@pytest.fixture
def platform(stage: Stage) -> QueueBinding:
    """The platform's queue; an organization with two contacts."""
    stage.organization()
    for number in (1, 2):
        stage.contact(number)
    found = stage.outside.producers[EVENTS.binding] = QueueBinding()
    return found


def after_batch(stage: Stage, queue: Queue = EMAIL) -> None:
    ports = stage.ports()
    try:
        stage.run(continue_after_batch(queue, ports))
    finally:
        ports.db.close()


def left(stage: Stage) -> list[str]:
    rows = stage.db.rows("select kind from delivery.platform_outbox order by id")
    return [row["kind"] for row in rows]


def report(stage: Stage, message: UUID, event_type: str, **metadata: Any) -> None:
    """What the consumer of feedback records, also if it records it twice."""
    for _ in range(2):
        stage.worker.execute(
            "insert into delivery.delivery_events (organization_id, contact_id, channel,"
            " event_type, message_id, event_id, occurred_at, metadata) values (:org, :contact,"
            " 'email', :type, :message, :event, :at, cast(:metadata as jsonb))"
            " on conflict (organization_id, event_id) do nothing",
            org=org(),
            contact=person(1),
            type=event_type,
            message=message,
            event=f"x:{event_type}",
            at=NOW,
            metadata=metadata,
        )


def test_a_sent_message_is_announced_once(stage: Stage, platform: QueueBinding) -> None:
    message = stage.message(1, 1, job_id=JOB)
    found = stage.claim(message)
    begun = stage.begin(found)
    for _ in range(2):
        stage.settle(begun, Verdict("accepted", provider_message_id="x"))
    after_batch(stage)
    after_batch(stage)
    [event] = platform.sent
    [recorded] = stage.db.rows("select id from delivery.delivery_events")
    assert event == {
        "type": "delivery.MessageSent",
        "eventId": str(recorded["id"]),
        "occurredAt": NOW.isoformat(),
        "data": {
            "organizationId": str(org()),
            "messageId": str(message),
            "deliveryJobId": str(JOB),
            "contactId": str(person(1)),
            "channel": "email",
            "provider": "capture",
            "sentAt": NOW.isoformat(),
        },
    }
    assert left(stage) == []


def test_what_providers_report_is_announced_once(stage: Stage, platform: QueueBinding) -> None:
    message = stage.message()
    report(stage, message, "accepted")
    report(stage, message, "delivered")
    report(stage, message, "opened", machine=True)
    report(stage, message, "clicked", url="https://shop.example/a")
    report(stage, message, "bounced", bounceKind="soft")
    report(stage, message, "gone")
    report(stage, message, "complained")
    report(stage, message, "unsubscribed")
    report(stage, message, "failed")
    after_batch(stage)
    own = {"organizationId", "messageId", "contactId", "channel"}
    assert [
        (event["type"], {k: v for k, v in event["data"].items() if k not in own})
        for event in platform.sent
    ] == [
        ("delivery.MessageDelivered", {"deliveredAt": NOW.isoformat()}),
        ("delivery.MessageOpened", {"openedAt": NOW.isoformat(), "isMachine": True}),
        (
            "delivery.MessageClicked",
            {"clickedAt": NOW.isoformat(), "url": "https://shop.example/a"},
        ),
        (
            "delivery.MessageBounced",
            {"bouncedAt": NOW.isoformat(), "bounceType": "soft", "reason": "soft_bounce"},
        ),
        (
            "delivery.MessageBounced",
            {"bouncedAt": NOW.isoformat(), "bounceType": "hard", "reason": "device_gone"},
        ),
        ("delivery.MessageComplained", {"complainedAt": NOW.isoformat()}),
        ("delivery.MessageUnsubscribed", {"unsubscribedAt": NOW.isoformat()}),
        ("delivery.MessageFailed", {"failedAt": NOW.isoformat()}),
    ]
    assert len({event["eventId"] for event in platform.sent}) == 8


def refused(stage: Stage) -> UUID:
    message = stage.message()
    stage.settle(stage.begin(stage.claim(message)), Verdict("refused", "300"))
    return message


def without_template(stage: Stage) -> UUID:
    message = stage.message(content={"subject": "", "text": "x"})
    stage.send(message)
    return message


def dead(stage: Stage) -> UUID:
    message = stage.message(expires_at=NOW)
    stage.db.execute("update delivery.messages set state = 'held'")
    stage.sweep()
    return message


def settled_by_an_operator(stage: Stage) -> UUID:
    message = stage.message()
    stage.settle(stage.begin(stage.claim(message)), Verdict("unknown"))
    sweeps.resolve_uncertain(stage.db, [message], "failed", NOW)
    return message


@pytest.mark.parametrize("way", [refused, without_template, dead, settled_by_an_operator])
def test_each_way_to_fail_is_announced(way: Any, stage: Stage, platform: QueueBinding) -> None:
    message = way(stage)
    state, reason = stage.state(message)
    after_batch(stage)
    [event] = platform.sent
    assert (state, event["type"]) == ("failed", "delivery.MessageFailed")
    assert (event["data"]["messageId"], event["data"]["reason"]) == (str(message), reason)


def test_an_operators_decision_that_a_message_was_sent_is_an_event(
    stage: Stage, platform: QueueBinding
) -> None:
    """Also for the figures of its campaign: with the time of the call."""
    message = stage.message()
    stage.settle(stage.begin(stage.claim(message)), Verdict("unknown"))
    stage.later(hours=1)
    sweeps.resolve_uncertain(stage.db, [message], "sent", stage.outside.now)
    after_batch(stage)
    [event] = platform.sent
    assert (event["type"], event["data"]["sentAt"]) == ("delivery.MessageSent", NOW.isoformat())
    [activity] = stage.db.rows("select event_type, occurred_at from analytics.contact_activity")
    assert (activity["event_type"], activity["occurred_at"]) == ("email_sent", NOW)


def test_what_waits_or_is_skipped_is_not_announced(stage: Stage, platform: QueueBinding) -> None:
    stage.settle(stage.begin(stage.claim(stage.message(1))), Verdict("defer"))
    stage.settle(stage.begin(stage.claim(stage.message(2))), Verdict("unknown"))
    stage.message(1, expires_at=NOW)
    stage.sweep()
    assert left(stage) == []


def test_a_queue_that_refuses_loses_nothing(stage: Stage, platform: QueueBinding) -> None:
    report(stage, stage.message(), "delivered")
    platform.broken = RuntimeError("the queue is gone")
    with pytest.raises(Exception, match="gone"):
        after_batch(stage)
    assert left(stage) == ["delivered"]
    platform.broken = None
    after_batch(stage, JOBS)
    assert len(platform.sent) == 1


def test_without_a_queue_a_sweep_counts_the_events(
    stage: Stage, platform: QueueBinding, monkeypatch: pytest.MonkeyPatch
) -> None:
    del stage.outside.producers[EVENTS.binding]
    message = stage.message()
    for kind in ("delivered", "opened", "complained"):
        report(stage, message, kind)
    after_batch(stage, EMAIL)
    assert len(left(stage)) == 3, "a batch of a channel has no extra statement"
    monkeypatch.setattr("shared.outbox.COUNTED_ROWS_MAX", 2)
    after_batch(stage, JOBS)
    logged = [
        (event["type"], event["count"]) for event in stage.outside.named("delivery.unannounced")
    ]
    assert sorted(logged) == [
        ("delivery.MessageComplained", 1),
        ("delivery.MessageDelivered", 1),
        ("delivery.MessageOpened", 1),
    ]
    assert left(stage) == []


def test_publishing_that_takes_long_continues_as_a_message(
    stage: Stage, platform: QueueBinding, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = stage.outside.producers[JOBS.binding] = QueueBinding()
    monkeypatch.setattr("shared.outbox.ROWS_A_TRANSACTION", 1)
    monkeypatch.setattr("shared.outbox.PUBLISHING_MAX", NOW - NOW)
    report(stage, stage.message(), "delivered")
    after_batch(stage)
    assert (platform.sent, [body["type"] for body in jobs.sent]) == (
        [],
        ["delivery.publish-events"],
    )
