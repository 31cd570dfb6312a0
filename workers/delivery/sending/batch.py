"""A batch of queue messages of one channel: insert those in whole, send those by reference."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from delivery.domain.messages import Full, Reference, SendEmail, SendMessage, SendPush, SendSms
from delivery.domain.outgoing import Channel
from delivery.sending.lane import Lane
from delivery.store import producers, sweeps
from shared.error_text import error_text
from shared.errors import error_class, is_retryable
from shared.jobs import DeadLetter
from shared.outcome import Dead, Done, RetryIn
from shared.ports import Database, Ports

Send = SendEmail | SendSms | SendPush


async def send(
    channel: Channel, messages: Sequence[Send], ports: Ports
) -> list[Done | RetryIn | Dead]:
    """Insert and send the messages of a batch; each gets its own outcome."""
    full = [own.data for own in messages if isinstance(own.data, Full)]
    inserted = iter(insert([columns(channel, own) for own in full], ports))
    references = [own.data for own in messages if isinstance(own.data, Reference)]
    sent = await Lane.of(channel, ports).send(
        [(own.organization_id, own.message_id) for own in references]
    )
    outcomes: list[Done | RetryIn | Dead] = []
    for own in messages:
        if isinstance(own.data, Reference):
            done = Done(1, 1, str(own.data.organization_id))
            outcomes.append(sent.get(own.data.message_id, done))
        else:
            outcomes.append(next(inserted))
    return outcomes


def insert(rows: Sequence[dict[str, Any]], ports: Ports) -> list[Done | RetryIn | Dead]:
    """Insert rows in one statement; if it is refused, each alone. The feeder sends them."""
    if not rows:
        return []
    try:
        new = producers.insert(ports.db, rows, ports.clock())
    except Exception as error:
        if is_retryable(error):
            raise
        if len(rows) > 1:
            return [outcome for row in rows for outcome in insert([row], ports)]
        return [Dead("failed", error_class(error), error_text(error))]
    if new < len(rows):
        ports.log("delivery.key_reused", count=len(rows) - new)
    return [Done(1, 1, str(row["organization_id"])) for row in rows]


def columns(channel: Channel, own: Full[Any]) -> dict[str, Any]:
    """Return the row of a message in whole, as plain JSON values."""
    content = own.content.model_dump(mode="json", by_alias=True) if own.content else None
    if content is not None:
        content = {_SNAKE.get(name, name): value for name, value in content.items()}
    return {
        "id": str(uuid4()),
        "organization_id": str(own.organization_id),
        "idempotency_key": own.idempotency_key,
        "channel": channel,
        "class": own.message_class,
        "contact_id": _text(own.contact_id),
        "campaign_id": _text(own.campaign_id),
        "journey_execution_id": _text(own.journey_execution_id),
        "step_id": _text(own.step_id),
        "template_id": _text(own.template_id),
        "content": content,
        "variables": own.variables or None,
        "address": getattr(own, "to", None),
        "device_id": _text(getattr(own, "device_id", None)),
        "not_before": own.not_before.isoformat() if own.not_before else None,
        "expires_at": own.expires_at.isoformat() if own.expires_at else None,
        "on_uncertain": own.on_uncertain,
    }


def columns_of_event(own: SendMessage) -> dict[str, Any]:
    """Return the row of what the platform publishes today."""
    data = own.data
    return {
        "id": str(uuid4()),
        "organization_id": str(data.organization_id),
        "idempotency_key": data.idempotency_key,
        "channel": data.channel,
        "class": "marketing",
        "contact_id": str(data.contact_id),
        "campaign_id": _text(data.campaign_id),
        "journey_execution_id": _text(data.journey_execution_id),
        "template_id": str(data.template_id),
    }


def hold(letters: Sequence[DeadLetter[Any]], db: Database) -> None:
    """Hold the messages whose reference died by an error of ours, until an operator decides."""
    ids = [
        letter.message.data.message_id
        for letter in letters
        if letter.reason == "failed"
        and letter.message is not None
        and isinstance(letter.message.data, Reference)
    ]
    if ids:
        sweeps.hold_dead(db, ids)


def reopen(messages: Sequence[Any], db: Database, now: datetime) -> None:
    """Open the messages whose dead letters an operator sends again."""
    ids = [own.data.message_id for own in messages if isinstance(own.data, Reference)]
    if ids:
        sweeps.resend_held(db, ids, now)


_SNAKE = {"replyTo": "reply_to"}


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
