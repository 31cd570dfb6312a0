"""The statements about messages whose call has an unknown outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from delivery.domain.address import unicode_email
from delivery.domain.claims import Waiting
from delivery.domain.verdict import Verdict
from delivery.store.calls import storable
from delivery.store.statements import SQL
from shared.ports import Database

# A provider keeps an idempotency key for 24 hours; an hour is the margin of two clocks.
REPEATED_FOR = timedelta(hours=23)
OF_CALL = ("called_at", "config_id", "provider_type")


@dataclass(frozen=True, repr=False)
class Uncertain:
    """An uncertain message with the config and the time of its call."""

    waiting: Waiting
    called_at: datetime
    config_id: UUID
    provider_type: str


def due_calls(db: Database, calls_max: int, now: datetime) -> list[tuple[UUID, UUID]]:
    """Return the organization and id of each call with a message that is due for a look-up."""
    rows = db.rows(SQL["due_calls"], calls_max=calls_max, now=now)
    return [(row["organization_id"], row["call_id"]) for row in rows]


def uncertain_of(
    db: Database, organization_id: UUID, call_id: UUID, messages_max: int, now: datetime
) -> list[Uncertain]:
    """Return the messages of a call that are uncertain and due, at most so many."""
    rows = db.rows(
        SQL["uncertain_of_call"],
        organization_id=organization_id,
        call_id=call_id,
        messages_max=messages_max,
        now=now,
    )
    return [
        Uncertain(
            Waiting(**{name: value for name, value in row.items() if name not in OF_CALL}),
            *(row[name] for name in OF_CALL),
        )
        for row in rows
    ]


def repeatable_request(
    db: Database, organization_id: UUID, call_id: UUID, now: datetime
) -> bytes | None:
    """Return the compressed request of the call; None if it must not be repeated now."""
    key = {"organization_id": organization_id, "call_id": call_id}
    spelled = db.rows(SQL["addresses_of_call"], **key)
    rows = db.rows(
        SQL["repeatable_request"],
        ids=[row["id"] for row in spelled],
        other_addresses=[unicode_email(row["address"]) for row in spelled],
        **key,
        since=now - REPEATED_FOR,
        may_call=True,
        now=now,
    )
    return bytes(rows[0]["request"]) if rows else None


def settle(
    db: Database,
    organization_id: UUID,
    call_id: UUID,
    verdicts: Sequence[tuple[UUID, Verdict]],
    now: datetime,
) -> list[UUID]:
    """End the messages that were accepted or refused; return them."""
    parameters: dict[str, Any] = {
        "ids": [message_id for message_id, _ in verdicts],
        "verdicts": [verdict.kind for _, verdict in verdicts],
        "codes": [verdict.code or None for _, verdict in verdicts],
        "provider_message_ids": [storable(verdict.provider_message_id) for _, verdict in verdicts],
    }
    rows = db.rows(
        SQL["settle_repetition"],
        organization_id=organization_id,
        call_id=call_id,
        now=now,
        **parameters,
    )
    return [row["id"] for row in rows]


def look_later(db: Database, ids: Sequence[UUID], now: datetime) -> None:
    """Set when to look for evidence of these messages again."""
    db.execute(SQL["next_lookup"], ids=list(ids), now=now)
