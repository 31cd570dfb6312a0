"""Postmark: `POST /email` for one message, `/email/batch` for several."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from delivery.domain.outgoing import MessageClass, OutgoingEmail
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import (
    Adapter,
    BadSignature,
    EventKind,
    HttpRequest,
    LookedUp,
    ProviderEvent,
    Reason,
    Secrets,
    Sought,
    Webhook,
)
from delivery.providers.answers import (
    INVALID,
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
    basic,
    email_size_bytes,
    headers,
    json_bytes,
    named_values,
    reply_to,
    sender,
    without_empty,
)
from delivery.providers.event_times import time_of
from delivery.providers.secrets import optional, required
from shared.ports import Crypto, HttpResponse

CODES: Codes = {
    "300": REFUSED,
    "400": PAUSE,
    "401": PAUSE,
    "405": PAUSE,
    "406": INVALID,
    "412": PAUSE,
    "413": PAUSE,
}
UNPROCESSABLE = 422
API = "https://api.postmarkapp.com"
OUTBOUND = f"{API}/messages/outbound"

_KINDS: dict[str, EventKind] = {
    "Delivery": "delivered",
    "Open": "opened",
    "Click": "clicked",
    "Bounce": "bounced",
    "SpamComplaint": "complained",
    "SubscriptionChange": "unsubscribed",
}
_HARD = {"HardBounce", "BadEmailAddress"}
# Types of a Bounce webhook that report no lost message: a reply, or a delivery that is tried again.
_NOT_LOST = {
    "Transient", "AutoResponder", "AddressChange", "OpenRelayTest", "ChallengeVerification",
    "Subscribe", "Unsubscribe", "Unconfirmed",
}  # fmt: skip
_TIMES = {
    "Delivery": "DeliveredAt",
    "Open": "ReceivedAt",
    "Click": "ReceivedAt",
    "Bounce": "BouncedAt",
    "SpamComplaint": "BouncedAt",
    "SubscriptionChange": "ChangedAt",
}
_SUPPRESSIONS: dict[EventKind, Reason] = {
    "complained": "complaint",
    "unsubscribed": "unsubscribe",
}


class Postmark(Adapter):
    """Postmark. Marketing needs a broadcast stream."""

    provider_type = "postmark"
    required = ("serverToken",)
    hosts = ("api.postmarkapp.com",)
    optional = ("stream", "broadcastStream", "hookUser", "hookPassword")
    class_secret: Mapping[MessageClass, str] = {"marketing": "broadcastStream"}
    bulk_max = 500

    def entry_bytes(self, message: OutgoingEmail) -> int | None:
        return email_size_bytes(lambda bare: _fields(bare, "outbound" * 8), message)

    async def request(
        self,
        messages: Sequence[OutgoingEmail],
        secrets: Secrets,
        call_id: str,
        now: datetime,
        crypto: Crypto,
    ) -> HttpRequest:
        del call_id, now, crypto
        bodies = [_fields(message, _stream(message, secrets)) for message in messages]
        is_bulk = len(messages) > 1
        url = f"{API}/email" + ("/batch" if is_bulk else "")
        types = {**_authorization(secrets), "Content-Type": JSON_TYPE}
        return HttpRequest("POST", url, types, json_bytes(bodies if is_bulk else bodies[0]))

    def verdicts(
        self, messages: Sequence[OutgoingEmail], response: HttpResponse, now: datetime
    ) -> list[Verdict]:
        answer = json_of(response)
        if response.status == UNPROCESSABLE:
            code = text_at(answer, "ErrorCode")
            return same_for_all(decide(response, now, CODES, code), messages)
        if response.status != 200:
            return same_for_all(decide(response, now, {}), messages)
        results = list_at(answer) if len(messages) > 1 else [answer]
        return [_of(result, response, now) for result in _aligned(messages, results)]

    async def events(
        self, webhook: Webhook, secrets: Secrets, crypto: Crypto
    ) -> list[ProviderEvent]:
        del crypto
        _verify(webhook, secrets)
        event = _event(parsed(webhook.body), webhook)
        return [event] if event else []

    def lookup_request(self, sought: Sought, secrets: Secrets) -> HttpRequest:
        """Return the request for the messages to the address since the day before the call."""
        day = (sought.called_at - timedelta(days=1)).date().isoformat()
        query = urlencode({"count": 50, "offset": 0, "recipient": sought.to, "fromdate": day})
        return HttpRequest("GET", f"{OUTBOUND}?{query}", _authorization(secrets))

    def looked_up(self, sought: Sought, response: HttpResponse, secrets: Secrets) -> LookedUp:
        """Read a list of messages, or the details of one: the details always have our id."""
        answer = json_of(response) if response.status == 200 else None
        records = list_at(answer, "Messages") or [answer]
        for record in records:
            if text_at(record, "Metadata", "message_id") == sought.message_id:
                return LookedUp(text_at(record, "MessageID") or None)
        unread = [text_at(r, "MessageID") for r in records if at(r, "Metadata") is None]
        urls = [f"{OUTBOUND}/{message_id}/details" for message_id in unread if message_id]
        headers = _authorization(secrets)
        return LookedUp(further=tuple(HttpRequest("GET", url, headers) for url in urls))


def _authorization(secrets: Secrets) -> dict[str, str]:
    return {"Accept": JSON_TYPE, "X-Postmark-Server-Token": required(secrets, "serverToken")}


def _fields(message: OutgoingEmail, stream: str) -> dict[str, Any]:
    return without_empty(
        {
            "From": sender(message),
            "To": message.to,
            "ReplyTo": reply_to(message),
            "Subject": str(message.subject),
            "HtmlBody": str(message.html),
            "TextBody": str(message.text),
            "Headers": named_values(headers(message)),
            "Metadata": {"message_id": message.message_id},
            "MessageStream": stream,
        }
    )


def _stream(message: OutgoingEmail, secrets: Secrets) -> str:
    if message.message_class == "marketing":
        return required(secrets, "broadcastStream")
    return optional(secrets, "stream") or "outbound"


def _aligned(messages: Sequence[OutgoingEmail], results: list[Any]) -> list[Any]:
    """Return the result of each message, in order; None where it is not certain.

    A result may name its address. If results are missing, only those with an address are certain.
    """
    addresses = [text_at(result, "To").lower() for result in results]
    own = [message.to.lower() for message in messages]
    if len(results) == len(messages):
        pairs = zip(results, addresses, own, strict=True)
        return [result if address in ("", to) else None for result, address, to in pairs]
    by_address = {
        address: result
        for address, result in zip(addresses, results, strict=True)
        if addresses.count(address) == 1
    }
    return [by_address.get(to) for to in own]


def _of(result: Any, response: HttpResponse, now: datetime) -> Verdict:
    code, message_id = text_at(result, "ErrorCode"), text_at(result, "MessageID")
    if code == "0":
        return accepted(message_id) if message_id else UNKNOWN
    return decide(response, now, CODES, code)


def _verify(webhook: Webhook, secrets: Secrets) -> None:
    user, password = optional(secrets, "hookUser"), optional(secrets, "hookPassword")
    expected = basic(user, password).encode()
    given = webhook.headers.get("authorization", "").encode()
    if not (user and password and hmac.compare_digest(expected, given)):
        raise BadSignature("the user or password of the webhook is wrong")


def _event(record: Any, webhook: Webhook) -> ProviderEvent | None:
    """Return the event of a webhook; None for one that changes nothing."""
    name = text_at(record, "RecordType")
    event_kind, provider_id = _KINDS.get(name), text_at(record, "MessageID")
    is_reactivation = event_kind == "unsubscribed" and record.get("SuppressSending") is not True
    if event_kind is None or is_reactivation or not (text_at(record, "ID") or provider_id):
        return None
    if event_kind == "bounced" and text_at(record, "Type") in _NOT_LOST:
        return None
    is_hard = event_kind == "bounced" and text_at(record, "Type") in _HARD
    suppression = _SUPPRESSIONS.get(event_kind)
    if event_kind == "unsubscribed" and text_at(record, "SuppressionReason") == "HardBounce":
        return None  # the Bounce webhook reports it
    stamp = text_at(record, _TIMES[name])
    return ProviderEvent(
        event_id=f"pm:{name}:{text_at(record, 'ID') or provider_id}",
        kind=event_kind,
        occurred_at=time_of(stamp, webhook.received),
        message_id=text_at(record, "Metadata", "message_id") or None,
        provider_message_id=provider_id or None,
        is_hard=is_hard,
        suppression="bounce" if is_hard else suppression,
        url=text_at(record, "OriginalLink") or None,
    )


ADAPTER = Postmark()
