"""The statements about what providers report: a fixed number for any number of events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from delivery.domain.outgoing import Channel
from delivery.providers.adapter import ProviderEvent
from delivery.store.calls import storable
from delivery.store.claims import Reference
from delivery.store.statements import SQL
from shared.ports import Database, Row
from shared.sanitize import printable

EVENT_ID_CHARS_MAX = 500  # an index holds at most 2,704 bytes
URL_CHARS_MAX = 2_000
UNMATCHED_FOR = timedelta(days=7)


@dataclass(frozen=True, repr=False)
class Reported:
    """An event with its origin. Without `organization_id` its message determines that.

    `config_id` is None for an event of Cloudflare, which names no config. `contact_id` is that of
    an unsubscription by our own link, whose message may be deleted.
    """

    event: ProviderEvent
    organization_id: UUID | None
    config_id: UUID | None
    channel: Channel
    received_at: datetime
    contact_id: UUID | None = None


@dataclass(frozen=True)
class Applied:
    """How many events were `new`, by their place in the list; how many have no message yet."""

    new: frozenset[int]
    unmatched: int


def configs_of(db: Database, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Return the provider configurations by their id."""
    if not ids:
        return {}
    return {row["id"]: row for row in db.rows(SQL["configs_of_hooks"], ids=list(ids))}


def record_of(reported: Reported) -> dict[str, Any]:
    """Return an event as plain JSON values that Postgres can store."""
    event = reported.event
    return {
        "organization_id": _text(reported.organization_id),
        "config_id": _text(reported.config_id),
        "channel": reported.channel,
        "contact_id": _text(reported.contact_id),
        "message_id": _uuid(event.message_id),
        "provider_message_id": storable(event.provider_message_id),
        "event_id": printable(event.event_id)[:EVENT_ID_CHARS_MAX],
        "kind": event.kind,
        "occurred_at": event.occurred_at.isoformat(),
        "received_at": reported.received_at.isoformat(),
        "is_hard": event.is_hard,
        "suppression": event.suppression,
        "is_machine": event.is_machine,
        "url": None if event.url is None else printable(event.url)[:URL_CHARS_MAX],
        "address": None if event.address is None else printable(event.address),
    }


def apply(db: Database, records: Sequence[dict[str, Any]], now: datetime) -> Applied:
    """Record events and apply the new ones, in one transaction of at most five round trips."""
    with db.transaction():
        return _apply(db, records, now)


def apply_waiting(
    db: Database, since: datetime, until: datetime, rows_max: int, now: datetime
) -> int:
    """Apply events that came after `since`, until `until`, and whose message is known by now;
    return how many.
    """
    with db.transaction():
        rows = db.rows(SQL["matching_events"], since=since, until=until, rows_max=rows_max)
        if rows:
            _apply(db, [row["body"] for row in rows], now)
            db.execute(
                SQL["forget_unmatched"],
                config_ids=[row["provider_config_id"] for row in rows],
                event_ids=[row["event_id"] for row in rows],
            )
    return len(rows)


def expire_waiting(db: Database, rows_max: int, now: datetime) -> int:
    """Delete events for which no message was found; return how many."""
    return db.execute(SQL["expire_unmatched"], before=now - UNMATCHED_FOR, rows_max=rows_max)


def record_evidence(db: Database, messages: Sequence[Reference], now: datetime) -> list[UUID]:
    """Make messages `sent`, because an event proves it. Return those that were not."""
    rows = db.rows(
        SQL["record_evidence"],
        organization_ids=[organization_id for organization_id, _ in messages],
        ids=[message_id for _, message_id in messages],
        now=now,
    )
    return [row["id"] for row in rows]


def _apply(db: Database, records: Sequence[dict[str, Any]], now: datetime) -> Applied:
    numbered = [{**record, "n": n} for n, record in enumerate(records)]
    [found] = db.rows(SQL["record_events"], events=json.dumps(numbered), now=now)
    if found["proved"]:
        proved = zip(found["proved_organizations"], found["proved"], strict=True)
        record_evidence(db, sorted(set(proved)), now)
    if found["new"]:
        db.rows(SQL["apply_events"], events=found["events"], now=now)
    return Applied(frozenset(found["new"]), found["unmatched"])


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _uuid(text: str | None) -> str | None:
    """Return an id of ours; None for a text that is none."""
    try:
        return str(UUID(text)) if text else None
    except ValueError:
        return None
