"""SendGrid, `POST /v3/mail/send`: one content and a personalization for each message."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from delivery.domain.outgoing import OutgoingEmail
from delivery.domain.rendered import Rendered
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import (
    Adapter,
    BadSignature,
    EventKind,
    HttpRequest,
    ProviderEvent,
    Reason,
    Secrets,
    Webhook,
)
from delivery.providers.answers import (
    REFUSED,
    Codes,
    accepted,
    decide,
    list_at,
    parsed,
    same_for_all,
    text_at,
)
from delivery.providers.bodies import (
    JSON_TYPE,
    headers,
    json_bytes,
    json_size_bytes,
    without_empty,
)
from delivery.providers.event_times import time_of
from delivery.providers.secrets import optional, required
from shared.errors import CryptoFailed
from shared.key_formats import point_of_spki, raw_signature
from shared.ports import Crypto, HttpResponse

HOSTS = {"": "api.sendgrid.com", "eu": "api.eu.sendgrid.com"}
CODES: Codes = {"400": REFUSED}
SUBSTITUTION_BYTES_MAX = 10_000
TOLERANCE = timedelta(minutes=10)

_KINDS: dict[str, EventKind] = {
    "processed": "accepted",
    "delivered": "delivered",
    "open": "opened",
    "click": "clicked",
    "bounce": "bounced",
    "dropped": "failed",
    "spamreport": "complained",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
}
_DROPPED: dict[str, tuple[EventKind, Reason]] = {
    "Bounced Address": ("bounced", "bounce"),
    "Spam Reporting Address": ("complained", "complaint"),
    "Unsubscribed Address": ("unsubscribed", "unsubscribe"),
}
_SUPPRESSIONS: dict[EventKind, Reason] = {
    "complained": "complaint",
    "unsubscribed": "unsubscribe",
}


class SendGrid(Adapter):
    """SendGrid. A call has one content: the values of each recipient are substitutions."""

    provider_type = "sendgrid"
    required = ("apiKey",)
    hosts = tuple(HOSTS.values())
    optional = ("region", "webhookPublicKey")
    bulk_max = 1_000
    shares_content = True
    call_bytes_max = 5_000_000  # leaves room for the content, which no entry counts

    def entry_bytes(self, message: OutgoingEmail) -> int | None:
        substitutions = _substitutions(message, "0" * _MARK_CHARS)
        used = sum(len(f"{name}{value}".encode()) for name, value in substitutions.items())
        if used > SUBSTITUTION_BYTES_MAX:
            return None
        return json_size_bytes(_personalization(message) | {"substitutions": substitutions})

    async def request(
        self,
        messages: Sequence[OutgoingEmail],
        secrets: Secrets,
        call_id: str,
        now: datetime,
        crypto: Crypto,
    ) -> HttpRequest:
        del now, crypto
        key = required(secrets, "apiKey")
        host = HOSTS.get(optional(secrets, "region").lower(), HOSTS[""])
        body = _shared(messages, call_id) if len(messages) > 1 else _alone(messages[0])
        types = {"Authorization": f"Bearer {key}", "Content-Type": JSON_TYPE}
        return HttpRequest("POST", f"https://{host}/v3/mail/send", types, json_bytes(body))

    def verdicts(
        self, messages: Sequence[OutgoingEmail], response: HttpResponse, now: datetime
    ) -> list[Verdict]:
        if response.status == 202:
            return same_for_all(accepted(response.headers.get("x-message-id")), messages)
        verdict = decide(response, now, CODES, reset_headers=("x-ratelimit-reset",))
        return same_for_all(verdict, messages)

    async def events(
        self, webhook: Webhook, secrets: Secrets, crypto: Crypto
    ) -> list[ProviderEvent]:
        await _verify(webhook, optional(secrets, "webhookPublicKey"), crypto)
        events = (_event(record, webhook) for record in list_at(parsed(webhook.body)))
        return [event for event in events if event]


def _alone(message: OutgoingEmail) -> dict[str, Any]:
    return _envelope(message, str(message.html), str(message.text)) | {
        "personalizations": [_personalization(message)]
    }


def _shared(messages: Sequence[OutgoingEmail], call_id: str) -> dict[str, Any]:
    """Return the body of a call: literals with a tag for each value, and the values."""
    first = messages[0]
    contents = {(message.html.literals, message.text.literals) for message in messages}
    if len(contents) != 1:
        raise ValueError("the messages of a call do not have the same content")
    mark = _mark(messages, call_id)
    html, text = (_with_tags(part, mark, name) for name, part in _parts(first))
    return _envelope(first, html, text) | {
        "personalizations": [
            without_empty(
                _personalization(message) | {"substitutions": _substitutions(message, mark)}
            )
            for message in messages
        ]
    }


def _envelope(message: OutgoingEmail, html: str, text: str) -> dict[str, Any]:
    parts = (("text/plain", text), ("text/html", html))
    sender = {"email": message.from_address, "name": message.from_name}
    fields = {
        "from": without_empty(sender),
        "reply_to": without_empty({"email": message.reply_to, "name": message.reply_to_name}),
        "content": [{"type": media_type, "value": text} for media_type, text in parts if text],
        # It would replace the message's own List-Unsubscribe.
        "tracking_settings": {"subscription_tracking": {"enable": False}},
    }
    return without_empty(fields)


def _personalization(message: OutgoingEmail) -> dict[str, Any]:
    return {
        "to": [{"email": message.to}],
        "subject": str(message.subject),
        "headers": headers(message),
        "custom_args": {"message_id": message.message_id},
    }


def _parts(message: OutgoingEmail) -> tuple[tuple[str, Rendered], tuple[str, Rendered]]:
    return (("h", message.html), ("t", message.text))


_MARK_CHARS = 12


def _mark(messages: Sequence[OutgoingEmail], call_id: str) -> str:
    """Return a text that no content and no value contains: SendGrid replaces it everywhere."""
    number = 0
    while True:
        mark = hashlib.sha256(f"{call_id}:{number}".encode()).hexdigest()[:_MARK_CHARS]
        if not any(mark in text for text in _texts(messages)):
            return mark
        number += 1


def _texts(messages: Sequence[OutgoingEmail]) -> Iterator[str]:
    """Yield the literals once, and the values and subject of each message."""
    for _, part in _parts(messages[0]):
        yield from part.literals
    for message in messages:
        yield str(message.subject)
        for _, part in _parts(message):
            yield from part.values


def _with_tags(part: Rendered, mark: str, name: str) -> str:
    tags = tuple(_tag(mark, name, number) for number in range(len(part.values)))
    return str(Rendered(part.literals, tags))


def _substitutions(message: OutgoingEmail, mark: str) -> dict[str, str]:
    return {
        _tag(mark, name, number): value
        for name, part in _parts(message)
        for number, value in enumerate(part.values)
    }


def _tag(mark: str, name: str, number: int) -> str:
    return f"-{mark}{name}{number}-"


async def _verify(webhook: Webhook, key: str, crypto: Crypto) -> None:
    signature = webhook.headers.get("x-twilio-email-event-webhook-signature", "")
    stamp = webhook.headers.get("x-twilio-email-event-webhook-timestamp", "")
    try:
        age = webhook.received - time_of(int(stamp), webhook.received)
        raw = raw_signature(base64.b64decode(signature, validate=True))
        point = point_of_spki(base64.b64decode(key))
        signed = stamp.encode() + webhook.body
        if abs(age) <= TOLERANCE and await crypto.verify_es256(point, raw, signed):
            return
    except (CryptoFailed, binascii.Error, ValueError):
        pass
    raise BadSignature("the signature of SendGrid is wrong, or old")


def _event(record: Any, webhook: Webhook) -> ProviderEvent | None:
    """Return the event of a record; None for one that changes nothing, such as `deferred`."""
    event_kind = _KINDS.get(text_at(record, "event"))
    event_id = text_at(record, "sg_event_id")
    if event_kind is None or not event_id:
        return None
    suppression = _SUPPRESSIONS.get(event_kind)
    is_hard = event_kind == "bounced" and text_at(record, "type") != "blocked"
    if event_kind == "failed":
        event_kind, suppression = _DROPPED.get(text_at(record, "reason"), (event_kind, None))
        is_hard = event_kind == "bounced"
    # The id that X-Message-Id had is the part before the first dot.
    provider_id = text_at(record, "sg_message_id").partition(".")[0]
    return ProviderEvent(
        event_id=f"sg:{event_id}",
        kind=event_kind,
        occurred_at=time_of(record.get("timestamp"), webhook.received),
        message_id=text_at(record, "message_id") or None,
        provider_message_id=provider_id or None,
        is_hard=is_hard,
        suppression="bounce" if is_hard else suppression,
        is_machine=record.get("sg_machine_open") is True,
        url=text_at(record, "url") or None,
    )


ADAPTER = SendGrid()
