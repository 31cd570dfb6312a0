"""Webhooks of Amazon SNS: the signature, the subscription, and the events of SES in them.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any, Literal
from urllib.parse import urlsplit

from delivery.providers.adapter import (
    BadSignature,
    EventKind,
    HttpRequest,
    ProviderEvent,
    Reason,
    Secrets,
    Webhook,
)
from delivery.providers.answers import at, list_at, parsed, text_at
from delivery.providers.event_times import time_of
from delivery.providers.secrets import optional
from shared.errors import CryptoFailed
from shared.key_formats import der_of_pem, spki_of_certificate
from shared.ports import Crypto

_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_SUBSCRIPTION = (
    "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
)  # fmt: skip
_SIGNED = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _SUBSCRIPTION,
    "UnsubscribeConfirmation": _SUBSCRIPTION,
}
_DIGESTS: dict[str, Literal["SHA-1", "SHA-256"]] = {"1": "SHA-1", "2": "SHA-256"}

_KINDS: dict[str, EventKind] = {
    "Send": "accepted",
    "Delivery": "delivered",
    "Open": "opened",
    "Click": "clicked",
    "Bounce": "bounced",
    "Complaint": "complained",
    "Reject": "failed",
    "Rendering Failure": "failed",
    "Subscription": "unsubscribed",
}
_PARTS = {"Rendering Failure": "failure"}
_SUPPRESSIONS: dict[EventKind, Reason] = {
    "complained": "complaint",
    "unsubscribed": "unsubscribe",
}


class SnsWebhooks:
    """The part of the SES adapter that reads webhooks."""

    def certificate_request(self, webhook: Webhook, secrets: Secrets) -> HttpRequest:
        """Return the request for the certificate, at the host of SNS in the topic's region."""
        envelope = _envelope(webhook, secrets)
        url = text_at(envelope, "SigningCertURL")
        if not (_is_of_sns(url, secrets) and urlsplit(url).path.endswith(".pem")):
            raise BadSignature("the certificate is not at a host of SNS")
        return HttpRequest("GET", url, {})

    def confirmation_request(self, webhook: Webhook, secrets: Secrets) -> HttpRequest | None:
        """Return the request that confirms the subscription of the configured topic."""
        envelope = _envelope(webhook, secrets)
        url = text_at(envelope, "SubscribeURL")
        is_subscription = text_at(envelope, "Type") == "SubscriptionConfirmation"
        return HttpRequest("GET", url, {}) if is_subscription and _is_of_sns(url, secrets) else None

    async def events(
        self, webhook: Webhook, secrets: Secrets, crypto: Crypto
    ) -> list[ProviderEvent]:
        """Return the events of SES in a notification. `signingCertificate` must be there."""
        envelope = _envelope(webhook, secrets)
        self.certificate_request(webhook, secrets)
        await _verify(envelope, optional(secrets, "signingCertificate"), crypto)
        if text_at(envelope, "Type") != "Notification":
            return []
        event = _event(parsed(text_at(envelope, "Message")), webhook)
        return [event] if event else []


def _envelope(webhook: Webhook, secrets: Secrets) -> Any:
    envelope = parsed(webhook.body)
    topic = optional(secrets, "topicArn")
    if not topic or text_at(envelope, "TopicArn") != topic:
        raise BadSignature("the topic is not the configured one")
    if text_at(envelope, "Type") not in _SIGNED:
        raise BadSignature("the webhook has no type that SNS signs")
    return envelope


def _is_of_sns(url: str, secrets: Secrets) -> bool:
    """Return True for HTTPS at SNS in the region of the configured topic."""
    region = (optional(secrets, "topicArn").split(":") + [""] * 4)[3]
    prefix = f"https://sns.{region}.amazonaws.com/"
    return bool(region) and url.startswith(prefix) and url.isascii() and url.isprintable()


async def _verify(envelope: Any, certificate: str, crypto: Crypto) -> None:
    digest = _DIGESTS.get(text_at(envelope, "SignatureVersion"))
    names = _SIGNED[text_at(envelope, "Type")]
    lines = [f"{name}\n{text_at(envelope, name)}\n" for name in names if name in envelope]
    try:
        signature = base64.b64decode(text_at(envelope, "Signature"), validate=True)
        key = spki_of_certificate(der_of_pem(certificate))
        if digest and await crypto.verify_rsa(key, digest, signature, "".join(lines).encode()):
            return
    except (CryptoFailed, binascii.Error, ValueError):
        pass
    raise BadSignature("the signature of SNS is wrong")


def _event(record: Any, webhook: Webhook) -> ProviderEvent | None:
    """Return the event of a record of SES; None for one that changes nothing."""
    event_type = text_at(record, "eventType") or text_at(record, "notificationType")
    event_kind = _KINDS.get(event_type)
    message_id = text_at(record, "mail", "messageId")
    part = at(record, _PARTS.get(event_type, event_type.lower()))
    if (
        event_kind is None
        or not message_id
        or (event_kind == "unsubscribed" and not _is_opt_out(part))
    ):
        return None
    is_hard = text_at(part, "bounceType") == "Permanent"
    suppression = "bounce" if event_kind == "bounced" and is_hard else _SUPPRESSIONS.get(event_kind)
    stamp = text_at(part, "timestamp") or text_at(record, "mail", "timestamp")
    url = text_at(part, "link") or None
    own = [text_at({"id": tag}, "id") for tag in list_at(record, "mail", "tags", "message_id")]
    return ProviderEvent(
        event_id=_event_id(event_type, message_id, text_at(part, "feedbackId") or stamp, url),
        kind=event_kind,
        occurred_at=time_of(stamp, webhook.received),
        message_id=own[0] if own else None,
        provider_message_id=message_id,
        is_hard=is_hard and event_kind == "bounced",
        suppression=suppression,
        url=url,
    )


def _is_opt_out(part: Any) -> bool:
    return at(part, "newTopicPreferences", "unsubscribeAll") is True


def _event_id(event_type: str, message_id: str, detail: str, url: str | None) -> str:
    hashed = hashlib.sha256(url.encode()).hexdigest()[:16] if url else ""
    return f"ses:{event_type}:{message_id}:{detail}:{hashed}"
