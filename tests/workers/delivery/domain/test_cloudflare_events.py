"""The six events, in the form of the vendor's page about event subscriptions."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from delivery.domain.cloudflare_events import (
    Bounced,
    CloudflareEvent,
    Complained,
    Deferred,
    Delivered,
    Failed,
    Rejected,
)
from shared.error_text import describe

EVENTS = {
    "delivered": Delivered, "deferred": Deferred, "bounced": Bounced, "failed": Failed,
    "rejected": Rejected, "complained": Complained,
}  # fmt: skip


def event(name: str) -> dict[str, Any]:
    return {
        "type": f"cf.email.sending.message.{name}",
        "source": {"type": "email.sending", "zoneId": "z", "domain": "send.example.com"},
        "payload": {
            "eventId": "e-1",
            "messageId": "m-1",
            "sender": "receipts@send.example.com",
            "recipient": "jane@private.example",
            "subject": "Your receipt",
            "terminal": True,
            "delivery": {"status": name, "smtpStatusCode": "550", "smtpResponse": "550 5.1.1"},
            "bounce": {"type": "hard", "classification": "permanent_failure", "reason": "550"},
            "rejection": {"reason": "suppressed", "party": "x", "detail": "y"},
        },
        "metadata": {
            "accountId": "a",
            "eventSubscriptionId": "s",
            "eventSchemaVersion": 1,
            "eventTimestamp": "2026-07-01T02:48:57.132Z",
        },
    }


@pytest.mark.parametrize(("name", "model"), EVENTS.items())
def test_an_event_is_read(name: str, model: type[CloudflareEvent]) -> None:
    found = model.model_validate(event(name))
    assert (found.payload.event_id, found.payload.message_id) == ("e-1", "m-1")
    assert found.payload.bounce is not None
    assert found.payload.bounce.type == "hard"
    assert found.payload.rejection is not None
    assert found.payload.rejection.reason == "suppressed"
    assert found.metadata.event_timestamp.isoformat() == "2026-07-01T02:48:57.132000+00:00"
    assert "private" not in repr(found)


@pytest.mark.parametrize(
    ("part", "value", "problem"),
    [
        ("payload", None, "payload: Input should be a valid dictionary"),
        ("payload", {"messageId": "m"}, "payload.eventId: Field required"),
        (
            "payload",
            {"eventId": "e", "messageId": ""},
            "payload.messageId: String should have at l",
        ),
        ("payload", {"eventId": 1, "messageId": "m"}, "payload.eventId: Input should be a valid s"),
        ("metadata", {}, "metadata.eventTimestamp: Field required"),
        ("metadata", {"eventTimestamp": "2026-07-01"}, "metadata.eventTimestamp: Input should"),
        ("source", {"type": "r2"}, "source.type: Input should be 'email.sending'"),
    ],
)
def test_a_malformed_event_names_its_field(part: str, value: object, problem: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Bounced.model_validate({**event("bounced"), part: value})
    assert describe(raised.value, Bounced).startswith(problem)


def test_an_event_is_of_its_own_type_alone() -> None:
    with pytest.raises(ValidationError, match="type"):
        Bounced.model_validate(event("delivered"))
