"""Twilio: one text message a call. Its status callbacks carry our id in their path."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from delivery.domain.address import normalize_phone
from delivery.domain.outgoing import OutgoingSms
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import (
    Adapter,
    BadSignature,
    EventKind,
    HttpRequest,
    LookedUp,
    ProviderEvent,
    Secrets,
    Sought,
    Webhook,
)
from delivery.providers.answers import (
    DEFER,
    INVALID,
    PAUSE,
    REFUSED,
    UNKNOWN,
    Codes,
    accepted,
    decide,
    json_of,
    list_at,
    text_at,
)
from delivery.providers.bodies import FORM_TYPE, basic, form_bytes
from delivery.providers.secrets import label, optional, required
from shared.ports import Crypto, HttpResponse

# https://www.twilio.com/docs/api/errors
CODES: Codes = {
    "21610": Verdict("suppress", suppression="unsubscribe"),
    "21211": INVALID,
    "21214": INVALID,
    "21217": INVALID,
    "21614": INVALID,
    "21408": REFUSED,
    "21612": REFUSED,
    "21603": PAUSE,
    "21606": PAUSE,
    "21659": PAUSE,
    "20003": PAUSE,
    "20429": DEFER,
    "14107": DEFER,
}

_KINDS: dict[str, EventKind] = {
    "sent": "accepted",
    "delivered": "delivered",
    "undelivered": "bounced",
    "failed": "failed",
}
_UNREACHABLE = {"30005", "30006"}  # unknown handset; landline
_STOP = {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"}
CLOCK_SKEW, LONGEST_CALL = timedelta(seconds=30), timedelta(minutes=2)


class Twilio(Adapter):
    """Twilio."""

    provider_type = "twilio"
    channel = "sms"
    required = ("accountSid", "authToken", "fromNumber or messagingServiceSid")
    hosts = ("api.twilio.com",)

    async def request(
        self,
        messages: Sequence[OutgoingSms],
        secrets: Secrets,
        call_id: str,
        now: datetime,
        crypto: Crypto,
    ) -> HttpRequest:
        del call_id, now, crypto
        [message] = messages
        fields = [("To", message.to), _sender(secrets), ("Body", message.text)]
        if message.status_callback:
            fields.append(("StatusCallback", message.status_callback))
        types = {**_authorization(secrets), "Content-Type": FORM_TYPE}
        return HttpRequest("POST", _url(secrets), types, form_bytes(fields))

    def verdicts(
        self, messages: Sequence[OutgoingSms], response: HttpResponse, now: datetime
    ) -> list[Verdict]:
        answer = json_of(response)
        if response.status == 201:
            sid = text_at(answer, "sid")
            return [accepted(sid) if sid else UNKNOWN]
        return [decide(response, now, CODES, text_at(answer, "code"))]

    async def events(
        self, webhook: Webhook, secrets: Secrets, crypto: Crypto
    ) -> list[ProviderEvent]:
        del crypto
        fields = dict(_verified(webhook, optional(secrets, "authToken")))
        event = _stop(fields, webhook) or _status(fields, webhook)
        return [event] if event else []

    def lookup_request(self, sought: Sought, secrets: Secrets) -> HttpRequest:
        """Return the request for the messages to the number since the day before the call."""
        day = (sought.called_at - timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")
        query = urlencode({"To": sought.to, "DateSent>": day, "PageSize": 200})
        return HttpRequest("GET", f"{_url(secrets)}?{query}", _authorization(secrets))

    def looked_up(self, sought: Sought, response: HttpResponse, secrets: Secrets) -> LookedUp:
        """Twilio does not know our id: exactly one message must have the number, text and time."""
        del secrets
        records = list_at(json_of(response), "messages") if response.status == 200 else []
        sids = [text_at(record, "sid") for record in records if _is_the_sought(record, sought)]
        return LookedUp(sids[0] if len(sids) == 1 and sids[0] else None)


def _url(secrets: Secrets) -> str:
    account = label(secrets, "accountSid")
    return f"https://api.twilio.com/2010-04-01/Accounts/{account}/Messages.json"


def _authorization(secrets: Secrets) -> dict[str, str]:
    user, password = label(secrets, "accountSid"), required(secrets, "authToken")
    return {"Authorization": basic(user, password)}


def _is_the_sought(record: Any, sought: Sought) -> bool:
    try:
        created = datetime.strptime(text_at(record, "date_created"), "%a, %d %b %Y %H:%M:%S %z")
    except ValueError:
        return False
    is_in_time = -CLOCK_SKEW <= created - sought.called_at <= LONGEST_CALL
    is_same = (text_at(record, "to"), text_at(record, "body")) == (sought.to, sought.text)
    return is_in_time and is_same and text_at(record, "direction") == "outbound-api"


def _sender(secrets: Secrets) -> tuple[str, str]:
    service = optional(secrets, "messagingServiceSid")
    if service:
        return ("MessagingServiceSid", service)
    return ("From", required(secrets, "fromNumber"))


def _verified(webhook: Webhook, token: str) -> list[tuple[str, str]]:
    """Return the fields of the webhook, after its signature was checked."""
    fields = parse_qsl(webhook.body.decode("utf-8", "replace"), keep_blank_values=True)
    given = webhook.headers.get("x-twilio-signature", "").encode()
    signed = "".join(name + value for name, value in sorted(set(fields)))
    matches = [
        hmac.compare_digest(given, _signature(token, url + signed)) for url in _urls(webhook.url)
    ]
    if not (token and any(matches)):
        raise BadSignature("the signature of Twilio is wrong")
    return fields


def _signature(token: str, text: str) -> bytes:
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest())


def _urls(url: str) -> list[str]:
    """Return the URL without and with a port: Twilio signs either."""
    parts = urlsplit(url)
    host = parts.netloc.partition(":")[0]
    port = parts.netloc.partition(":")[2] or ("80" if parts.scheme == "http" else "443")
    return [parts._replace(netloc=netloc).geturl() for netloc in (host, f"{host}:{port}")]


def _status(fields: dict[str, str], webhook: Webhook) -> ProviderEvent | None:
    """Return the event of a status callback; None for a status that changes nothing."""
    status, sid = fields.get("MessageStatus", ""), fields.get("MessageSid", "")
    event_kind = _KINDS.get(status)
    if event_kind is None or not sid:
        return None
    is_invalid = event_kind in ("bounced", "failed") and fields.get("ErrorCode") in _UNREACHABLE
    return ProviderEvent(
        event_id=f"tw:{sid}:{status}",
        kind=event_kind,
        occurred_at=webhook.received,
        message_id=_message_id(webhook.url),
        provider_message_id=sid,
        is_hard=is_invalid,
        suppression="invalid" if is_invalid else None,
    )


def _message_id(url: str) -> str | None:
    """Return the last part of …/hooks/twilio/CONFIG/TOKEN/MESSAGE."""
    parts = urlsplit(url).path.split("/")
    return parts[-1] or None if parts[-5:-3] == ["hooks", "twilio"] else None


def _stop(fields: dict[str, str], webhook: Webhook) -> ProviderEvent | None:
    """Return the event of an incoming message that asks for no more messages."""
    is_received = fields.get("SmsStatus") == "received"
    is_stop = fields.get("OptOutType", fields.get("Body", "").strip().upper()) in _STOP
    number = normalize_phone(fields.get("From", ""))
    if not (is_received and is_stop and number):
        return None
    return ProviderEvent(
        event_id=f"tw:{fields.get('MessageSid', '')}:received",
        kind="unsubscribed",
        occurred_at=webhook.received,
        suppression="unsubscribe",
        address=number,
    )


ADAPTER = Twilio()
