"""The events of Cloudflare Email Sending as those of any other provider.

They name neither a config nor our message: only the provider's id, and its own events are trusted
because only a subscription of the account sends to the queue.
"""

from __future__ import annotations

from datetime import datetime

from delivery.domain.cloudflare_events import (
    Bounced,
    CloudflareEvent,
    Complained,
    Deferred,
    Delivered,
    Rejected,
)
from delivery.providers.adapter import EventKind, ProviderEvent, Reason
from delivery.providers.event_times import utc
from delivery.store.feedback import Reported


def reported(message: CloudflareEvent, received_at: datetime) -> list[Reported]:
    """Return the event."""
    payload = message.payload
    kind, suppression = _kind(message)
    event = ProviderEvent(
        event_id=f"cf:{payload.event_id}",
        kind=kind,
        occurred_at=utc(message.metadata.event_timestamp, received_at),
        provider_message_id=payload.message_id,
        is_hard=suppression == "bounce",
        suppression=suppression,
    )
    return [Reported(event, None, None, "email", received_at)]


def _kind(message: CloudflareEvent) -> tuple[EventKind, Reason | None]:
    """Return the kind and the reason of a suppression. A deferral that is the end is a bounce."""
    payload = message.payload
    match message:
        case Delivered():
            return "delivered", None
        case Bounced():
            is_hard = payload.bounce is not None and payload.bounce.type == "hard"
            return "bounced", "bounce" if is_hard else None
        case Complained():
            return "complained", "complaint"
        case Deferred():
            return ("bounced" if payload.terminal else "accepted"), None
        case Rejected() if payload.rejection and payload.rejection.reason == "suppressed":
            return "failed", "invalid"
        case _:
            return "failed", None
