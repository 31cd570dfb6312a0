"""The requests of each provider's interface, and its answers.

Addresses say what is wrong with them: `refused…` is never taken, `inactive…` is suppressed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from shared.ports import HttpResponse

NAMES = {
    "api.postmarkapp.com": "postmark",
    "api.resend.com": "resend",
    "api.sendgrid.com": "sendgrid",
    "api.twilio.com": "twilio",
    "updates.push.services.mozilla.com": "webpush",
}
REFUSED_NUMBER, INACTIVE_NUMBER = "99", "88"  # the last digits of a telephone number


@dataclass(frozen=True)
class Entry:
    """A message of a request. `link` is the token of its unsubscribe link, `callback` the URL for
    reports about it."""

    message_id: str
    address: str
    text: str = ""
    link: str = ""
    callback: str = ""

    @property
    def is_refused(self) -> bool:
        return self.address.startswith("refused") or self.address.endswith(REFUSED_NUMBER)

    @property
    def is_inactive(self) -> bool:
        return self.address.startswith("inactive") or self.address.endswith(INACTIVE_NUMBER)


@dataclass(frozen=True)
class Kept:
    """A message that a provider has accepted, as its look-up shows it."""

    name: str
    entry: Entry
    provider_id: str
    at: datetime


@dataclass(frozen=True)
class Form:
    """A request as the provider reads it. `secret` says which config made it."""

    name: str
    secret: str
    entries: tuple[Entry, ...]
    body: bytes
    key: str | None = None
    is_bulk: bool = False

    def taken(self) -> Iterator[Entry]:
        """The entries that the provider takes: none of a call that it refuses as a whole."""
        is_whole = self.name in ("sendgrid", "twilio", "webpush") or not self.is_bulk
        if is_whole and any(own.is_refused or own.is_inactive for own in self.entries):
            return
        for own in self.entries:
            if not (own.is_refused or own.is_inactive):
                yield own


def read(url: str, headers: Mapping[str, str], body: bytes) -> Form:
    host = urlsplit(url).hostname or ""
    name = NAMES[host]
    key = headers.get("Idempotency-Key")
    if name == "twilio":
        fields = parse_qs(body.decode())
        text = fields["Body"][0]
        callback = fields.get("StatusCallback", [""])[0]
        own = callback.rpartition("/")[2] or text.rpartition("#")[2]
        found = (Entry(own, fields["To"][0], text, callback=callback),)
        return Form(name, urlsplit(url).path.split("/")[3], found, body)
    if name == "webpush":
        return Form(name, "webpush", (Entry(headers["Topic"], url),), body)
    data = json.loads(body)
    secret = headers.get("X-Postmark-Server-Token") or headers["Authorization"]
    is_bulk = isinstance(data, list) or len(data.get("personalizations", ())) > 1
    entries = tuple(_ENTRIES[name](own) for own in _listed(data))
    return Form(name, secret, entries, body, key, is_bulk)


def listed(url: str, kept: Sequence[Kept]) -> HttpResponse:
    """Answer a look-up with the messages to its recipient."""
    parts = urlsplit(url)
    name, query = NAMES[parts.hostname or ""], parse_qs(parts.query)
    to = query["recipient" if name == "postmark" else "To"][0]
    found = [own for own in kept if own.name == name and own.entry.address == to]
    if name == "postmark":
        records = [
            {"MessageID": own.provider_id, "Metadata": {"message_id": own.entry.message_id}}
            for own in found
        ]
        return _json(200, {"Messages": records})
    texts = [
        {
            "sid": own.provider_id,
            "to": to,
            "body": own.entry.text,
            "direction": "outbound-api",
            "date_created": format_datetime(own.at),
        }
        for own in found
    ]
    return _json(200, {"messages": texts})


def _listed(data: Any) -> list[Any]:
    if isinstance(data, list):
        return data
    return list(data.get("personalizations", [data]))


_ENTRIES: dict[str, Callable[[Any], Entry]] = {
    "postmark": lambda own: Entry(own["Metadata"]["message_id"], own["To"], link=_link(own)),
    "resend": lambda own: Entry(own["tags"][0]["value"], own["to"][0], link=_link(own)),
    "sendgrid": lambda own: Entry(
        own["custom_args"]["message_id"], own["to"][0]["email"], link=_link(own)
    ),
}


def _link(own: Any) -> str:
    """The token in the header List-Unsubscribe of a message."""
    headers = own.get("headers") or {h["Name"]: h["Value"] for h in own.get("Headers", ())}
    value: str = headers.get("List-Unsubscribe", "")
    return value.strip("<>").rpartition("/u/")[2]


def _postmark(form: Form, ids: Mapping[str, str]) -> HttpResponse:
    results = [_postmark_result(own, ids.get(own.message_id)) for own in form.entries]
    if form.is_bulk:
        return _json(200, results)
    return _json(200 if ids else 422, results[0])


def _postmark_result(own: Entry, provider_id: str | None) -> dict[str, Any]:
    if provider_id:
        return {"ErrorCode": 0, "MessageID": provider_id, "To": own.address}
    return {"ErrorCode": 406 if own.is_inactive else 300}


def _resend(form: Form, ids: Mapping[str, str]) -> HttpResponse:
    if form.is_bulk:
        errors = [
            {"index": index, "message": "invalid"}
            for index, own in enumerate(form.entries)
            if own.message_id not in ids
        ]
        return _json(200, {"data": [{"id": found} for found in ids.values()], "errors": errors})
    if ids:
        return _json(200, {"id": next(iter(ids.values()))})
    return _json(422, {"name": "validation_error"})


def _sendgrid(form: Form, ids: Mapping[str, str]) -> HttpResponse:
    if not ids:
        return _json(400, {"errors": []})
    return HttpResponse(202, {"x-message-id": next(iter(ids.values()))}, b"")


def _twilio(form: Form, ids: Mapping[str, str]) -> HttpResponse:
    if ids:
        return _json(201, {"sid": next(iter(ids.values()))})
    return _json(400, {"code": 21610 if form.entries[0].is_inactive else 21408})


def _webpush(form: Form, ids: Mapping[str, str]) -> HttpResponse:
    if ids:
        return HttpResponse(201, {"location": next(iter(ids.values()))}, b"")
    return HttpResponse(410 if form.entries[0].is_inactive else 413, {}, b"")


def _json(status: int, body: Any) -> HttpResponse:
    return HttpResponse(status, {}, json.dumps(body).encode())


ANSWERS: dict[str, Callable[[Form, Mapping[str, str]], HttpResponse]] = {
    "postmark": _postmark,
    "resend": _resend,
    "sendgrid": _sendgrid,
    "twilio": _twilio,
    "webpush": _webpush,
}
