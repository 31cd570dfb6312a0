"""The format of captured messages and calls in R2.

An object has no time of its own writing: a repetition writes the same object.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from delivery.domain.outgoing import Channel, MessageClass, Outgoing, OutgoingEmail, OutgoingSms
from delivery.providers.adapter import HttpRequest
from delivery.providers.bodies import headers, reply_to, sender

PREFIX = "captured/"
VERSION = 1
REMOVED = "(removed)"
# Headers without a secret. Any other may hold a token or a signature.
SHOWN_HEADERS = frozenset(
    {
        "accept", "content-encoding", "content-length", "content-type", "date", "host",
        "idempotency-key", "topic", "ttl", "urgency", "user-agent", "x-amz-date",
        "x-batch-validation",
    }
)  # fmt: skip


class CaptureUnreadable(ValueError):
    """An object is not a captured message, or of a later version."""


@dataclass(frozen=True, repr=False)
class CapturedMessage:
    """A message as its recipient would see it. `headers` has `To` and, of an e-mail, all others."""

    message_id: str
    organization_id: str
    channel: Channel
    message_class: MessageClass
    provider_type: str
    call_id: str | None
    created_at: datetime
    headers: Mapping[str, str]
    html: str = ""
    text: str = ""
    data: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of the message's object."""
        return f"{_folder(self.created_at, self.organization_id)}/{self.message_id}"

    @property
    def subject(self) -> str:
        """The subject of an e-mail, the title of a push message."""
        return self.headers.get("Subject", "")


@dataclass(frozen=True, repr=False)
class CapturedCall:
    """The request that the provider would have received, without its secrets."""

    call_id: str
    organization_id: str
    provider_type: str
    created_at: datetime
    message_ids: tuple[str, ...]
    method: str
    url: str
    headers: Mapping[str, str]
    body: str
    body_encoding: Literal["utf-8", "base64"] = "utf-8"

    @property
    def key(self) -> str:
        """The key of the call's object."""
        return f"{_folder(self.created_at, self.organization_id)}/calls/{self.call_id}"


def _folder(created_at: datetime, organization_id: str) -> str:
    return f"{PREFIX}{created_at.astimezone(UTC).date().isoformat()}/{organization_id}"


def captured_message(
    message: Outgoing,
    *,
    organization_id: str,
    created_at: datetime,
    provider_type: str,
    call_id: str | None = None,
) -> CapturedMessage:
    """Return what is kept of a message. `call_id` is None in shadow mode, which makes no call."""
    common: dict[str, Any] = {
        "message_id": message.message_id,
        "organization_id": organization_id,
        "message_class": message.message_class,
        "provider_type": provider_type,
        "call_id": call_id,
        "created_at": created_at,
    }
    if isinstance(message, OutgoingEmail):
        html, text = str(message.html), str(message.text)
        return CapturedMessage(
            channel="email", headers=_email_headers(message), html=html, text=text, **common
        )
    if isinstance(message, OutgoingSms):
        return CapturedMessage(
            channel="sms", headers={"To": message.to}, text=message.text, **common
        )
    return CapturedMessage(
        channel="push",
        headers={"To": message.token, "Subject": message.title},
        text=message.body,
        data=dict(message.data),
        **common,
    )


def _email_headers(message: OutgoingEmail) -> dict[str, str]:
    own = {"From": sender(message), "To": message.to, "Subject": str(message.subject)}
    if message.reply_to:
        own["Reply-To"] = reply_to(message)
    return own | headers(message)


def captured_call(
    request: HttpRequest,
    *,
    call_id: str,
    organization_id: str,
    created_at: datetime,
    provider_type: str,
    message_ids: Sequence[str],
) -> CapturedCall:
    """Return what is kept of a request. `created_at` is that of the first message."""
    try:
        body, encoding = request.body.decode(), "utf-8"
    except UnicodeDecodeError:
        body, encoding = base64.b64encode(request.body).decode(), "base64"
    return CapturedCall(
        call_id=call_id,
        organization_id=organization_id,
        provider_type=provider_type,
        created_at=created_at,
        message_ids=tuple(message_ids),
        method=request.method,
        url=request.url,
        headers={name: _shown(name, value) for name, value in request.headers.items()},
        body=body,
        body_encoding="utf-8" if encoding == "utf-8" else "base64",
    )


def _shown(name: str, value: str) -> str:
    return value if name.lower() in SHOWN_HEADERS else REMOVED


def to_json(captured: CapturedMessage | CapturedCall) -> str:
    """Return the text of the object."""
    fields = {"version": VERSION, **asdict(captured)}
    return json.dumps(fields | {"created_at": captured.created_at.isoformat()}, indent=1)


def message_from_json(text: str) -> CapturedMessage:
    """Read a message's object. Raises CaptureUnreadable."""
    fields = _fields(text)
    try:
        return CapturedMessage(**fields)
    except TypeError:
        raise CaptureUnreadable("the object is not a captured message") from None


def call_from_json(text: str) -> CapturedCall:
    """Read a call's object. Raises CaptureUnreadable."""
    fields = _fields(text)
    try:
        return CapturedCall(**fields | {"message_ids": tuple(fields["message_ids"])})
    except (KeyError, TypeError):
        raise CaptureUnreadable("the object is not a captured call") from None


def _fields(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
        version = fields.pop("version")
        fields["created_at"] = datetime.fromisoformat(fields["created_at"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise CaptureUnreadable("the object is not a captured message or call") from None
    if version != VERSION:
        raise CaptureUnreadable(f"the object has version {version}: this program reads {VERSION}")
    return dict(fields)
