"""Webhooks as the hooks worker passes them on, and a batch of the feedback queue."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from delivery.providers.bodies import basic
from delivery.worker import WORKER
from shared.flow.consume import consume
from tests.fakes import FakeBatch, FakeDelivery
from tests.workers.delivery.stage import Stage, org

QUEUE = "mauntic-delivery-feedback"
POSTMARK = {"serverToken": "t", "broadcastStream": "b", "hookUser": "u", "hookPassword": "p"}


def webhook(
    config_id: UUID,
    body: bytes | dict[str, Any],
    received: datetime,
    *,
    provider: str = "postmark",
    headers: dict[str, str] | None = None,
    path: str = "",
    obj: str | None = None,
) -> dict[str, Any]:
    """A queue message with a webhook; `obj` is the key of the object with its body."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    data: dict[str, Any] = {
        "providerConfigId": str(config_id),
        "provider": provider,
        "url": f"https://hooks.example/hooks/{provider}/{config_id}/token{path}",
        "headers": {"authorization": basic("u", "p")} if headers is None else headers,
        "receivedAt": received.isoformat(),
    }
    data |= {"body": base64.b64encode(raw).decode()} if obj is None else {"object": obj}
    return {"type": "delivery.ProviderEvents", "data": data}


def postmark(kind: str, message: UUID | None = None, **fields: Any) -> dict[str, Any]:
    """The body of a webhook of Postmark."""
    own = {"RecordType": kind, "MessageID": "pm-1", **fields}
    return own if message is None else {**own, "Metadata": {"message_id": str(message)}}


def unsubscription(
    message: UUID, contact: UUID, received: datetime, organization: int = 1
) -> dict[str, Any]:
    data = {
        "organizationId": str(org(organization)),
        "contactId": str(contact),
        "messageId": str(message),
        "receivedAt": received.isoformat(),
    }
    return {"type": "delivery.Unsubscribe", "data": data}


def deliver(stage: Stage, *bodies: dict[str, Any]) -> list[FakeDelivery]:
    """A batch of the feedback queue."""
    batch = [FakeDelivery(body, id=f"f{place}") for place, body in enumerate(bodies)]
    stage.run(consume(FakeBatch(QUEUE, batch), WORKER, stage.ports()))
    return batch


def answers(deliveries: Sequence[FakeDelivery]) -> list[str | None]:
    return [own.answer for own in deliveries]


def activities(stage: Stage) -> list[tuple[str, str]]:
    """The activities by event id, without those of our own calls."""
    rows = stage.db.rows(
        "select event_type, event_id from analytics.contact_activity"
        " where event_type not like '%\\_sent' order by event_id"
    )
    return [(row["event_type"], row["event_id"]) for row in rows]


def suppressions(stage: Stage) -> list[tuple[str, str, str, str]]:
    rows = stage.db.rows(
        "select channel, address, reason, scope from delivery.suppressions order by 1, 2, 4"
    )
    return [(row["channel"], row["address"], row["reason"], row["scope"]) for row in rows]


def letters(stage: Stage) -> list[tuple[str, str]]:
    """The dead letters so far: reason and error."""
    own = [letter["deadLetter"] for letter in stage.outside.dlq.sent]
    return [(letter["reason"], letter["error"]) for letter in own]
