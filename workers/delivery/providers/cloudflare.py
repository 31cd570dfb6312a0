"""Cloudflare's `send_email` binding: one message a call, transactional messages only.

`transport.perform` turns the binding's answer into a response: 200 with `messageId`, or 400 with
the binding's code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from delivery.domain.outgoing import MessageClass, OutgoingEmail
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import Adapter, BindingRequest, EventKind, ProviderEvent, Secrets
from delivery.providers.answers import (
    DEFER,
    INVALID,
    PAUSE,
    REFUSED,
    UNKNOWN,
    accepted,
    at,
    json_of,
    safe_code,
    text_at,
)
from delivery.providers.bodies import headers, one_line
from delivery.providers.event_times import time_of
from shared.ports import Crypto, EmailMessage, HttpResponse

# The beginnings of the binding's codes.
# https://developers.cloudflare.com/email-service/api/send-emails/workers-api/
CODES: tuple[tuple[str, Verdict], ...] = (
    ("E_RATE_LIMIT", DEFER),
    ("E_DAILY_LIMIT", PAUSE),
    ("E_SENDER_", PAUSE),
    ("E_RECIPIENT_SUPPRESSED", INVALID),
    ("E_INTERNAL", UNKNOWN),
    ("E_DELIVERY_FAILED", REFUSED),
    ("E_VALIDATION", REFUSED),
    ("E_FIELD", REFUSED),
    ("E_HEADER", REFUSED),
    ("E_CONTENT", REFUSED),
    ("E_TOO_MANY", REFUSED),
)
EVENT_TYPE = "cf.email.sending.message."
_KINDS: dict[str, EventKind] = {
    "delivered": "delivered",
    "bounced": "bounced",
    "failed": "failed",
    "rejected": "failed",
    "complained": "complained",
}


class Cloudflare(Adapter):
    """The `send_email` binding `EMAIL`. The vendor excludes marketing."""

    provider_type = "cloudflare"
    required: tuple[str, ...] = ()
    classes: frozenset[MessageClass] = frozenset({"transactional"})

    async def request(
        self,
        messages: Sequence[OutgoingEmail],
        secrets: Secrets,
        call_id: str,
        now: datetime,
        crypto: Crypto,
    ) -> BindingRequest:
        del secrets, call_id, now, crypto
        [message] = messages
        return BindingRequest(
            EmailMessage(
                sender=_mailbox(message.from_name, message.from_address),
                to=message.to,
                subject=str(message.subject),
                html=str(message.html),
                text=str(message.text),
                reply_to=_mailbox(message.reply_to_name, message.reply_to),
                headers=headers(message),
            )
        )

    def verdicts(
        self, messages: Sequence[OutgoingEmail], response: HttpResponse, now: datetime
    ) -> list[Verdict]:
        answer = json_of(response)
        if response.status == 200:
            message_id = _bare(text_at(answer, "messageId"))
            return [accepted(message_id) if message_id else UNKNOWN]
        code = text_at(answer, "code")
        found = next((verdict for start, verdict in CODES if code.startswith(start)), UNKNOWN)
        if code.startswith("E_DAILY_LIMIT"):
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            found = replace(found, until=midnight)
        return [replace(found, code=safe_code(code))]


def _bare(message_id: str) -> str:
    """Return a Message-ID without its angle brackets, so that all forms of it match."""
    return message_id.strip("<>")


def _mailbox(name: str, address: str) -> str:
    """Return name and address as the port reads them: a name without quotes."""
    name = one_line(name.replace("<", "").replace(">", ""))
    return f"{name} <{address}>" if name and address else address


def event_of(message: Mapping[str, Any], received: datetime) -> ProviderEvent | None:
    """Return the event of a queue message of the vendor; None for one that changes nothing.

    It comes through an event subscription of our own queue, so it has no signature.
    """
    payload = at(dict(message), "payload")
    event_kind = _KINDS.get(text_at(dict(message), "type").removeprefix(EVENT_TYPE))
    event_id, message_id = text_at(payload, "eventId"), _bare(text_at(payload, "messageId"))
    if event_kind is None or not (event_id and message_id):
        return None
    is_hard = event_kind == "bounced" and text_at(payload, "bounce", "type") == "hard"
    stamp = text_at(dict(message), "metadata", "eventTimestamp")
    return ProviderEvent(
        event_id=f"cf:{event_id}",
        kind=event_kind,
        occurred_at=time_of(stamp, received),
        provider_message_id=message_id,
        is_hard=is_hard,
        suppression="bounce" if is_hard else "complaint" if event_kind == "complained" else None,
    )


ADAPTER = Cloudflare()
