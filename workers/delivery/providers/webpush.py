"""Web Push (RFC 8030): one encrypted message a call, to the push service of the browser."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from delivery.domain.outgoing import OutgoingPush
from delivery.domain.verdict import Verdict, VerdictKind
from delivery.providers.adapter import Adapter, CannotSend, HttpRequest, Secrets
from delivery.providers.answers import GONE, PAUSE, Codes, accepted, decide
from delivery.providers.bodies import json_bytes
from delivery.providers.push_encryption import (
    AUTH_BYTES,
    PAYLOAD_BYTES_MAX,
    base64url,
    encrypt,
    from_base64url,
    salt_for,
    sender_token,
)
from delivery.providers.secrets import required
from shared.key_formats import POINT_BYTES, SCALAR_BYTES
from shared.ports import Crypto, HttpResponse, P256Key
from shared.settings import origin_of

# An endpoint comes from a browser, so from anybody: requests go to the known push services only.
PUSH_SERVICES = (
    "fcm.googleapis.com",
    "jmt17.google.com",
    "*.push.services.mozilla.com",
    "*.notify.windows.com",
    "*.push.apple.com",
)
CODES: Codes = {"400": PAUSE, "404": GONE, "410": GONE}
TOKEN_LIFE = timedelta(hours=12)
LONGEST_TTL_S = 28 * 24 * 3_600
TOPIC_CHARS_MAX = 32


class WebPush(Adapter):
    """Web Push with VAPID keys."""

    provider_type = "webpush"
    channel = "push"
    required = ("vapidPrivateKey", "vapidPublicKey", "subject")
    hosts = PUSH_SERVICES

    async def request(
        self,
        messages: Sequence[OutgoingPush],
        secrets: Secrets,
        call_id: str,
        now: datetime,
        crypto: Crypto,
    ) -> HttpRequest:
        del call_id
        [message] = messages
        origin = _origin(message.token)
        payload = _payload(message)
        authorization = await _authorization(origin, secrets, now, crypto)
        receiver = _bytes(message.p256dh, POINT_BYTES)
        auth = _bytes(message.auth, AUTH_BYTES)
        ours = await crypto.generate_p256()
        salt = salt_for(ours, message.message_id)
        body = await encrypt(payload, receiver, auth, ours, salt, crypto)
        left_s = int((message.expires_at - now).total_seconds())
        types = {
            "TTL": str(min(max(left_s, 0), LONGEST_TTL_S)),
            "Urgency": "high" if message.message_class == "transactional" else "normal",
            "Topic": message.message_id.replace("-", "")[:TOPIC_CHARS_MAX],
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "aes128gcm",
            "Authorization": authorization,
        }
        return HttpRequest("POST", message.token, types, body)

    def verdicts(
        self, messages: Sequence[OutgoingPush], response: HttpResponse, now: datetime
    ) -> list[Verdict]:
        if response.status == 201:
            return [accepted(response.headers.get("location"))]
        return [decide(response, now, CODES)]


def is_push_service(host: str) -> bool:
    """
    >>> is_push_service("wns2-par02p.notify.windows.com"), is_push_service("windows.com.example")
    (True, False)
    """
    below = tuple(service[1:] for service in PUSH_SERVICES if service.startswith("*"))
    return host in PUSH_SERVICES or host.endswith(below)


def _origin(endpoint: str) -> str:
    """Return the origin of the endpoint: HTTPS, without a port, at a known push service."""
    origin = origin_of(endpoint) or ""
    scheme, _, host = origin.partition("://")
    if scheme != "https" or not is_push_service(host):
        raise CannotSend(Verdict("refused", "endpoint_host"))
    return origin


def _payload(message: OutgoingPush) -> bytes:
    data = {**message.data, "message_id": message.message_id}
    payload = json_bytes({"title": message.title, "body": message.body, "data": data})
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise CannotSend(Verdict("refused", "payload_too_large"))
    return payload


async def _authorization(origin: str, secrets: Secrets, now: datetime, crypto: Crypto) -> str:
    key = P256Key(
        _secret(secrets, "vapidPrivateKey", SCALAR_BYTES),
        _secret(secrets, "vapidPublicKey", POINT_BYTES),
    )
    expires = int((now + TOKEN_LIFE).timestamp())
    claims = {"aud": origin, "exp": expires, "sub": required(secrets, "subject")}
    token = await sender_token(claims, key, crypto)
    return f"vapid t={token},k={base64url(key.public)}"


def _secret(secrets: Secrets, name: str, length: int) -> bytes:
    return _decoded(required(secrets, name), length) or _refuse("pause", "config_vapid_keys")


def _bytes(text: str, length: int) -> bytes:
    return _decoded(text, length) or _refuse("refused", "subscription_keys")


def _decoded(text: str, length: int) -> bytes:
    try:
        data = from_base64url(text)
    except ValueError:
        return b""
    return data if len(data) == length else b""


def _refuse(verdict: VerdictKind, code: str) -> bytes:
    raise CannotSend(Verdict(verdict, code))


ADAPTER = WebPush()
