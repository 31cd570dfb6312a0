"""Resend: `POST /emails` for one message, `/emails/batch` for several, with an idempotency key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from delivery.domain.outgoing import OutgoingEmail
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
    DEFER,
    PAUSE,
    REFUSED,
    UNKNOWN,
    Codes,
    accepted,
    at,
    decide,
    json_of,
    list_at,
    parsed,
    same_for_all,
    text_at,
)
from delivery.providers.bodies import (
    JSON_TYPE,
    email_size_bytes,
    headers,
    json_bytes,
    reply_to,
    sender,
    without_empty,
)
from delivery.providers.event_times import time_of
from delivery.providers.secrets import optional, required
from shared.ports import Crypto, HttpResponse

# A repetition while the first request is worked on; a repetition with another body: in both cases
# Resend has the first request.
CODES: Codes = {
    "concurrent_idempotent_requests": UNKNOWN,
    "invalid_idempotent_request": UNKNOWN,
    "rate_limit_exceeded": DEFER,
    "daily_quota_exceeded": PAUSE,
    "monthly_quota_exceeded": PAUSE,
    "422": REFUSED,
}
TOLERANCE = timedelta(minutes=10)

_KINDS: dict[str, EventKind] = {
    "email.sent": "accepted",
    "email.delivered": "delivered",
    "email.opened": "opened",
    "email.clicked": "clicked",
    "email.bounced": "bounced",
    "email.complained": "complained",
    "email.failed": "failed",
    "email.suppressed": "failed",
}


class Resend(Adapter):
    """Resend. A repetition of a request within 24 hours has the answer of the first."""

    provider_type = "resend"
    required = ("apiKey",)
    hosts = ("api.resend.com",)
    optional = ("hookSecret",)
    bulk_max = 100
    has_idempotency_key = True

    def entry_bytes(self, message: OutgoingEmail) -> int | None:
        return email_size_bytes(_fields, message)

    async def request(
        self,
        messages: Sequence[OutgoingEmail],
        secrets: Secrets,
        call_id: str,
        now: datetime,
        crypto: Crypto,
    ) -> HttpRequest:
        del now, crypto
        is_bulk = len(messages) > 1
        bodies = [_fields(message) for message in messages]
        key = call_id if is_bulk else messages[0].message_id
        return _request(json_bytes(bodies if is_bulk else bodies[0]), secrets, key, is_bulk)

    def repetition(self, body: bytes, secrets: Secrets, call_id: str) -> HttpRequest:
        """Return the request of a stored body once more, with its key."""
        is_bulk = isinstance(parsed(body), list)
        key = call_id if is_bulk else self.message_ids(body)[0]
        return _request(body, secrets, key, is_bulk)

    def message_ids(self, body: bytes) -> list[str]:
        """Return our ids in the order of the entries of a stored body."""
        content = parsed(body)
        return [_tag(entry) for entry in (content if isinstance(content, list) else [content])]

    def verdicts(
        self, messages: Sequence[OutgoingEmail], response: HttpResponse, now: datetime
    ) -> list[Verdict]:
        answer = json_of(response)
        if response.status != 200:
            return same_for_all(_failed(answer, response, now), messages)
        if len(messages) > 1:
            return _of_batch(messages, answer)
        message_id = text_at(answer, "id")
        return [accepted(message_id) if message_id else UNKNOWN]

    async def events(
        self, webhook: Webhook, secrets: Secrets, crypto: Crypto
    ) -> list[ProviderEvent]:
        del crypto
        hook_id = _verify(webhook, optional(secrets, "hookSecret"))
        event = _event(parsed(webhook.body), hook_id, webhook)
        return [event] if event else []


def _request(body: bytes, secrets: Secrets, key: str, is_bulk: bool) -> HttpRequest:
    types = {
        "Authorization": f"Bearer {required(secrets, 'apiKey')}",
        "Content-Type": JSON_TYPE,
        "Idempotency-Key": key,
    }
    if is_bulk:
        types["x-batch-validation"] = "permissive"
    url = "https://api.resend.com/emails" + ("/batch" if is_bulk else "")
    return HttpRequest("POST", url, types, body)


def _fields(message: OutgoingEmail) -> dict[str, Any]:
    return without_empty(
        {
            "from": sender(message),
            "to": [message.to],
            "reply_to": reply_to(message),
            "subject": str(message.subject),
            "html": str(message.html),
            "text": str(message.text),
            "headers": headers(message),
            "tags": [{"name": "message_id", "value": message.message_id}],
        }
    )


def _failed(answer: Any, response: HttpResponse, now: datetime) -> Verdict:
    name = text_at(answer, "name")
    verdict = decide(response, now, CODES, name, reset_headers=("ratelimit-reset",))
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if name == "daily_quota_exceeded":
        return replace(verdict, until=midnight + timedelta(days=1))
    if name == "monthly_quota_exceeded":
        return replace(verdict, until=(midnight.replace(day=1) + timedelta(days=32)).replace(day=1))
    return verdict


def _of_batch(messages: Sequence[OutgoingEmail], answer: Any) -> list[Verdict]:
    """Return the verdict of each entry: `errors` names the refused ones, `data` the others in
    order. If that does not account for every entry, those without an error are unknown."""
    indexes = [at(error, "index") for error in list_at(answer, "errors")]
    refused = {index for index in indexes if type(index) is int and 0 <= index < len(messages)}
    ids = [text_at(entry, "id") for entry in list_at(answer, "data")]
    is_complete = len(refused) == len(indexes) and len(refused) + len(ids) == len(messages)
    given_ids = iter(ids if is_complete else [])
    verdicts = []
    for index in range(len(messages)):
        if index in refused:
            verdicts.append(replace(REFUSED, code="validation_error"))
        else:
            message_id = next(given_ids, "")
            verdicts.append(accepted(message_id) if message_id else UNKNOWN)
    return verdicts


def _verify(webhook: Webhook, secret: str) -> str:
    """Return the webhook's id, after its signature was checked (https://docs.svix.com)."""
    given = {name: webhook.headers.get(f"svix-{name}", "") for name in ("id", "timestamp")}
    signatures = webhook.headers.get("svix-signature", "").split(" ")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_") + "==")
        age = webhook.received - time_of(int(given["timestamp"]), webhook.received)
    except (binascii.Error, ValueError):
        raise BadSignature("the secret or the time of the webhook cannot be read") from None
    signed = f"{given['id']}.{given['timestamp']}.".encode() + webhook.body
    expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    matches = [hmac.compare_digest(expected, signature.encode()) for signature in signatures]
    if not (key and given["id"] and abs(age) <= TOLERANCE and any(matches)):
        raise BadSignature("the signature of Resend is wrong, or old")
    return given["id"]


def _event(record: Any, hook_id: str, webhook: Webhook) -> ProviderEvent | None:
    """Return the event of a webhook; None for one that changes nothing."""
    name = text_at(record, "type")
    event_kind, data = _KINDS.get(name), at(record, "data")
    if event_kind is None:
        return None
    is_hard = event_kind == "bounced" and text_at(data, "bounce", "type") == "Permanent"
    suppression: Reason | None = "complaint" if event_kind == "complained" else None
    clicked_at = text_at(data, "click", "timestamp")
    return ProviderEvent(
        event_id=f"svix:{hook_id}",
        kind=event_kind,
        occurred_at=time_of(clicked_at or text_at(record, "created_at"), webhook.received),
        message_id=_tag(data) or None,
        provider_message_id=text_at(data, "email_id") or None,
        is_hard=is_hard,
        suppression="bounce" if is_hard else suppression,
        url=text_at(data, "click", "link") or None,
    )


def _tag(data: Any) -> str:
    """Return our id from the tags: an object, or a list of names and values."""
    for tag in list_at(data, "tags"):
        if text_at(tag, "name") == "message_id":
            return text_at(tag, "value")
    return text_at(data, "tags", "message_id")


ADAPTER = Resend()
