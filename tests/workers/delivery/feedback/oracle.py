"""What events make of messages, in plain Python: the oracle of the statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from delivery.providers.adapter import ProviderEvent

GRAVITY = ["unsubscribe", "invalid", "bounce", "complaint", "manual"]
COLUMNS = {
    "delivered": "delivered_at", "bounced": "bounced_at", "complained": "complained_at",
    "unsubscribed": "unsubscribed_at", "opened": "opened_at", "clicked": "clicked_at",
    "failed": "failed_at",
}  # fmt: skip


@dataclass
class Message:
    """A message as the oracle knows it."""

    id: UUID
    contact: UUID | None
    address: str
    sent_at: datetime
    state: str = "sent"
    columns: dict[str, Any] = field(default_factory=dict)


@dataclass
class Oracle:
    """The rows after the events. `contacts` are the addresses of contacts, all active."""

    messages: dict[str, Message]
    contacts: dict[UUID, str]
    received: datetime
    seen: set[str] = field(default_factory=set)
    activities: dict[str, tuple[str, UUID, datetime, str | None]] = field(default_factory=dict)
    suppressions: dict[tuple[str, str], str] = field(default_factory=dict)
    status: dict[UUID, str] = field(default_factory=dict)
    unmatched: set[str] = field(default_factory=set)

    def apply(self, batch: Sequence[ProviderEvent]) -> None:
        """Apply a batch: of a contact's first events a hard bounce decides."""
        new = list(self._new(batch))
        for event in new:
            self._change(event)
        for message in self.messages.values():
            own = [event for event in new if event.message_id == str(message.id)]
            if message.contact is None or message.contact in self.status:
                continue
            is_theirs = self.contacts[message.contact] == message.address
            if any(event.is_hard for event in own) and is_theirs:
                self.status[message.contact] = "bounced"
            elif any(event.kind == "unsubscribed" for event in own):
                self.status[message.contact] = "unsubscribed"

    def _new(self, batch: Sequence[ProviderEvent]) -> Iterable[ProviderEvent]:
        for event in batch:
            if event.message_id not in self.messages:
                self.unmatched.add(event.event_id)
            elif event.event_id not in self.seen:
                self.seen.add(event.event_id)
                yield event

    def _change(self, event: ProviderEvent) -> None:
        message = self.messages[str(event.message_id)]
        message.state = "sent"
        at = max(min(event.occurred_at, self.received), message.sent_at)
        column = COLUMNS.get(event.kind)
        if column:
            message.columns[column] = min(at, message.columns.get(column, at))
        if event.kind == "bounced":
            is_hard = event.is_hard or message.columns.get("bounce_kind") == "hard"
            message.columns["bounce_kind"] = "hard" if is_hard else "soft"
        if event.suppression:
            scope = "marketing" if event.suppression == "unsubscribe" else "all"
            key = (message.address, scope)
            reasons = [event.suppression, self.suppressions.get(key, event.suppression)]
            self.suppressions[key] = max(reasons, key=GRAVITY.index)
        self._note(event, message, at)

    def _note(self, event: ProviderEvent, message: Message, at: datetime) -> None:
        """The activities: each open and click, and of the others one a message."""
        if message.contact is None or event.kind in ("accepted", "failed"):
            return
        name = f"email_{event.kind}"
        if event.kind in ("opened", "clicked"):
            self.activities[event.event_id] = (name, message.contact, at, None)
            return
        kind = message.columns["bounce_kind"] if event.kind == "bounced" else None
        first = message.columns[COLUMNS[event.kind]]
        self.activities[f"msg:{message.id}:{event.kind}"] = (name, message.contact, first, kind)
