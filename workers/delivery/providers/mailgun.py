"""Mailgun: one message a call. Its batch mode returns one id for all, and is not used."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from delivery.domain.outgoing import OutgoingEmail
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
    text_at,
)
from delivery.providers.bodies import (
    FORM_TYPE,
    basic,
    form_bytes,
    headers,
    json_bytes,
    reply_to,
    sender,
)
from delivery.providers.event_times import time_of
from delivery.providers.secrets import label, optional, required
from shared.ports import Crypto, HttpResponse

HOSTS = {"": "api.mailgun.net", "eu": "api.eu.mailgun.net"}
CODES: Codes = {"400": REFUSED, "404": PAUSE, "420": PAUSE}

_KINDS: dict[str, EventKind] = {
    "accepted": "accepted",
    "delivered": "delivered",
    "opened": "opened",
    "clicked": "clicked",
    "failed": "failed",
    "rejected": "failed",
    "complained": "complained",
    "unsubscribed": "unsubscribed",
}
# Reasons of a permanent failure.
_FAILURES: dict[str, tuple[EventKind, Reason | None]] = {
    "bounce": ("bounced", "bounce"),
    "generic": ("bounced", None),
    "espblock": ("bounced", None),
    "suppress-bounce": ("bounced", "bounce"),
    "suppress-complaint": ("complained", "complaint"),
    "suppress-unsubscribe": ("unsubscribed", "unsubscribe"),
    "old": ("bounced", None),
}
_SUPPRESSIONS: dict[EventKind, Reason] = {
    "complained": "complaint",
    "unsubscribed": "unsubscribe",
}


class Mailgun(Adapter):
    """Mailgun."""

    provider_type = "mailgun"
    required = ("apiKey", "domain")
    hosts = tuple(HOSTS.values())
    optional = ("region", "signingKey")

    async def request(
        self,
        messages: Sequence[OutgoingEmail],
        secrets: Secrets,
        call_id: str,
        now: datetime,
        crypto: Crypto,
    ) -> HttpRequest:
        del call_id, now, crypto
        [message] = messages
        types = {**_authorization(secrets), "Content-Type": FORM_TYPE}
        return HttpRequest("POST", _url(secrets, "messages"), types, form_bytes(_fields(message)))

    def verdicts(
        self, messages: Sequence[OutgoingEmail], response: HttpResponse, now: datetime
    ) -> list[Verdict]:
        if response.status == 200:
            message_id = text_at(json_of(response), "id").strip("<>")
            return [accepted(message_id) if message_id else UNKNOWN]
        return [decide(response, now, CODES, reset_headers=("x-ratelimit-reset",))]

    async def events(
        self, webhook: Webhook, secrets: Secrets, crypto: Crypto
    ) -> list[ProviderEvent]:
        del crypto
        record = parsed(webhook.body)
        _verify(at(record, "signature"), optional(secrets, "signingKey"))
        event = _event(at(record, "event-data"), webhook)
        return [event] if event else []

    def lookup_request(self, sought: Sought, secrets: Secrets) -> HttpRequest:
        """Return the request for the events of a message, by its variable."""
        query = urlencode(
            {
                "begin": int(sought.called_at.timestamp()) - 60,
                "ascending": "yes",
                "limit": 25,
                "user-variables": json_bytes({"message_id": sought.message_id}).decode(),
            }
        )
        return HttpRequest("GET", f"{_url(secrets, 'events')}?{query}", _authorization(secrets))

    def looked_up(self, sought: Sought, response: HttpResponse, secrets: Secrets) -> LookedUp:
        del secrets
        for record in list_at(json_of(response), "items") if response.status == 200 else []:
            is_own = text_at(record, "user-variables", "message_id") == sought.message_id
            found = text_at(record, "message", "headers", "message-id")
            if is_own and found and text_at(record, "event") != "rejected":
                return LookedUp(found)
        return LookedUp()


def _url(secrets: Secrets, resource: str) -> str:
    host = HOSTS.get(optional(secrets, "region").lower(), HOSTS[""])
    return f"https://{host}/v3/{label(secrets, 'domain')}/{resource}"


def _authorization(secrets: Secrets) -> dict[str, str]:
    return {"Authorization": basic("api", required(secrets, "apiKey"))}


def _fields(message: OutgoingEmail) -> list[tuple[str, str]]:
    own = headers(message)
    if message.reply_to:
        own["Reply-To"] = reply_to(message)
    fields = [
        ("from", sender(message)),
        ("to", message.to),
        ("subject", str(message.subject)),
        ("html", str(message.html)),
        ("text", str(message.text)),
        *((f"h:{name}", value) for name, value in own.items()),
        ("v:message_id", message.message_id),
    ]
    return [(name, value) for name, value in fields if value]


def _verify(signature: Any, key: str) -> None:
    # JSON can name half of a surrogate pair, which UTF-8 cannot express.
    stamp, token, given = (
        text_at(signature, name).encode(errors="surrogatepass")
        for name in ("timestamp", "token", "signature")
    )
    signed = stamp + token
    expected = hmac.new(key.encode(), signed, hashlib.sha256).hexdigest().encode()
    if not (key and signed and hmac.compare_digest(expected, given)):
        raise BadSignature("the signature of Mailgun is wrong")


def _event(record: Any, webhook: Webhook) -> ProviderEvent | None:
    """Return the event of a webhook; None for one that changes nothing."""
    event_kind, event_id = _KINDS.get(text_at(record, "event")), text_at(record, "id")
    is_temporary = text_at(record, "severity") == "temporary"  # Mailgun tries again
    if event_kind is None or not event_id or is_temporary:
        return None
    suppression = _SUPPRESSIONS.get(event_kind)
    if text_at(record, "event") == "failed":
        event_kind, suppression = _failure(record)
    return ProviderEvent(
        event_id=f"mg:{event_id}",
        kind=event_kind,
        occurred_at=time_of(at(record, "timestamp"), webhook.received),
        message_id=text_at(record, "user-variables", "message_id") or None,
        provider_message_id=text_at(record, "message", "headers", "message-id") or None,
        is_hard=suppression == "bounce",
        suppression=suppression,
        is_machine=bool(text_at(record, "client-info", "bot")),
        url=text_at(record, "url") or None,
    )


def _failure(record: Any) -> tuple[EventKind, Reason | None]:
    """Return kind and suppression of a permanent failure. Newer events also name its hardness."""
    event_kind, suppression = _FAILURES.get(text_at(record, "reason"), ("failed", None))
    hardness = text_at(record, "delivery-status", "bounce-type")
    if event_kind == "bounced" and hardness in ("hard", "soft"):
        return event_kind, "bounce" if hardness == "hard" else None
    return event_kind, suppression


ADAPTER = Mailgun()
