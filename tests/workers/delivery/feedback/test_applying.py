"""What each event of a provider changes, row by row of the table in docs/deliveries.md."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.workers.delivery.feedback.hooks import (
    POSTMARK,
    activities,
    answers,
    deliver,
    letters,
    postmark,
    suppressions,
    unsubscription,
    webhook,
)
from tests.workers.delivery.stage import Stage, org, person

MAIL = "p1@people.example"


@pytest.fixture
def sent(stage: Stage) -> tuple[Stage, UUID, UUID]:
    """A message that the provider has accepted, and its config."""
    stage.organization()
    stage.contact()
    config = stage.config(secrets=POSTMARK)
    message = stage.message()
    stage.send(message)
    stage.later(minutes=5)
    return stage, config, message


def at(stage: Stage, seconds: int) -> str:
    return (stage.outside.now - timedelta(seconds=seconds)).isoformat()


def report(sent: tuple[Stage, UUID, UUID], kind: str, **fields: Any) -> None:
    stage, config, message = sent
    body = webhook(config, postmark(kind, message, **fields), stage.outside.now)
    assert answers(deliver(stage, body)) == ["ack"]
    assert letters(stage) == []


def status(stage: Stage) -> str:
    [row] = stage.db.rows("select status from crm.contacts")
    return str(row["status"])


def test_a_delivery(sent: tuple[Stage, UUID, UUID]) -> None:
    stage, _, message = sent
    report(sent, "Delivery", DeliveredAt=at(stage, 60))
    row = stage.row(message)
    assert row["delivered_at"] == stage.outside.now - timedelta(seconds=60)
    assert (row["state"], row["bounced_at"]) == ("sent", None)
    assert activities(stage) == [("email_delivered", f"msg:{message}:delivered")]
    assert suppressions(stage) == []
    assert status(stage) == "active"


def test_a_hard_bounce(sent: tuple[Stage, UUID, UUID]) -> None:
    stage, _, message = sent
    report(sent, "Bounce", Type="HardBounce", ID=7, BouncedAt=at(stage, 60))
    row = stage.row(message)
    assert row["bounced_at"] == stage.outside.now - timedelta(seconds=60)
    assert row["bounce_kind"] == "hard"
    assert activities(stage) == [("email_bounced", f"msg:{message}:bounced")]
    assert suppressions(stage) == [("email", MAIL, "bounce", "all")]
    assert status(stage) == "bounced"


def test_an_unsubscription_by_our_link_outlives_the_message(
    sent: tuple[Stage, UUID, UUID],
) -> None:
    stage, _, message = sent
    stage.db.execute("delete from delivery.messages")
    body = unsubscription(message, person(1), stage.outside.now)
    assert answers(deliver(stage, body, body)) == ["ack", "ack"]
    assert activities(stage) == [("email_unsubscribed", f"msg:{message}:unsubscribed")]
    assert suppressions(stage) == [("email", MAIL, "unsubscribe", "marketing")]
    assert status(stage) == "unsubscribed"
    [event] = stage.db.rows("select * from delivery.delivery_events where event_type <> 'sent'")
    assert (event["organization_id"], event["contact_id"]) == (org(), person(1))
