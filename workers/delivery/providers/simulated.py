"""Answers of the capture adapter by address: every outcome can be tried without a provider.

The word before `@` or `+` chooses: `bounce@simulator.invalid`, `bounce+17@acme.simulator.invalid`.
Only in the mode local.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from delivery.domain.messages import ProviderEvents
from delivery.domain.outgoing import Outgoing, OutgoingEmail
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import BadSignature, EventKind, ProviderEvent, Reason, Webhook
from delivery.providers.answers import list_at, parsed, text_at
from shared.inbox import encoded

DOMAIN = "simulator.invalid"
URL = "https://capture.invalid/"
NO_CONFIG = UUID(int=0)
THROTTLED_CALLS = 2

# What a provider reports of a message that it has.
EVENTS: Mapping[str, Sequence[EventKind]] = {
    "delivered": ("delivered",),
    "bounce": ("bounced",),
    "soft": ("bounced",),
    "complaint": ("delivered", "complained"),
    "unsubscribe": ("delivered", "unsubscribed"),
    "open": ("delivered", "opened"),
    "click": ("delivered", "opened", "clicked"),
    "timeout": ("delivered",),
}
SUPPRESSIONS: Mapping[str, Reason] = {
    "bounce": "bounce",
    "complaint": "complaint",
    "unsubscribe": "unsubscribe",
}
# What a call ends with. timeout: the message is taken, and no answer comes. lost: it is not taken.
VERDICTS: Mapping[str, Verdict] = {
    "throttle": Verdict("defer", "429"),
    "busy": Verdict("retry", "503"),
    "timeout": Verdict("unknown", "timeout"),
    "lost": Verdict("unknown", "lost"),
    "reject": Verdict("refused", "550"),
}
CALLED_ALONE = frozenset({"throttle", "busy", "timeout", "lost"})  # the answer is of a whole call
TAKEN = "timeout"


def word_of(message: Outgoing) -> str:
    """Return the word that chooses the answer; '' for an ordinary address."""
    if not isinstance(message, OutgoingEmail):
        return ""
    local, _, domain = message.to.rpartition("@")
    word = local.partition("+")[0]
    is_simulated = domain == DOMAIN or domain.endswith(f".{DOMAIN}")
    return word if is_simulated and (word in EVENTS or word in VERDICTS) else ""


def is_called_alone(message: Outgoing) -> bool:
    """Return whether the message's answer would be that of its whole call."""
    return word_of(message) in CALLED_ALONE


def verdict_of(message: Outgoing, attempt: int) -> Verdict | None:
    """Return the verdict of a call that does not accept the message; None if it does."""
    word = word_of(message)
    if word == "throttle" and attempt > THROTTLED_CALLS:
        return None
    return VERDICTS.get(word)


def is_taken(message: Outgoing, attempt: int) -> bool:
    """Return whether the provider has the message after the call."""
    return verdict_of(message, attempt) is None or word_of(message) == TAKEN


def report(messages: Sequence[Outgoing], config_id: UUID | None, at: datetime) -> dict[str, Any]:
    """Return the queue message with the events of the messages; {} if they have none.

    The ids of events are those of the message and the kind: a repetition is absorbed.
    """
    events = [event for message in messages for event in _events_of(message, word_of(message), at)]
    if not events:
        return {}
    data = {
        "providerConfigId": config_id or NO_CONFIG,
        "provider": "capture",
        "url": URL,
        "headers": {},
        "body": encoded(json.dumps(events).encode()),
        "receivedAt": at,
    }
    return ProviderEvents.model_validate({"data": data}).body()


def _events_of(message: Outgoing, word: str, at: datetime) -> list[dict[str, Any]]:
    return [
        {
            "kind": kind,
            "messageId": message.message_id,
            "at": at.isoformat(),
            "isHard": word == "bounce",
            "suppression": SUPPRESSIONS.get(word) if kind != "delivered" else None,
        }
        for kind in EVENTS.get(word, ())
    ]


def events(webhook: Webhook) -> list[ProviderEvent]:
    """Return the events of `report`."""
    found = [_event(own) for own in list_at(parsed(webhook.body))]
    if not found:
        raise BadSignature("this is no report of captured messages")
    return found


def _event(own: Mapping[str, Any]) -> ProviderEvent:
    message_id = text_at(own, "messageId")
    return ProviderEvent(
        event_id=f"capture:{message_id}:{own['kind']}",
        kind=own["kind"],
        occurred_at=datetime.fromisoformat(own["at"]),
        message_id=message_id,
        provider_message_id=f"captured-{message_id}",
        is_hard=own["isHard"],
        suppression=own["suppression"],
        url=URL if own["kind"] == "clicked" else None,
    )
