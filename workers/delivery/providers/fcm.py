"""Firebase Cloud Messaging, HTTP version 1. Its access token is a step of its own."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from delivery.domain.outgoing import OutgoingPush
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import AccessToken, Adapter, CannotSend, HttpRequest, Secrets
from delivery.providers.answers import (
    DEFER,
    GONE,
    PAUSE,
    REFUSED,
    RETRY,
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
from delivery.providers.bodies import FORM_TYPE, JSON_TYPE, form_bytes, json_bytes
from delivery.providers.secrets import label, required, value_of
from shared.key_formats import der_of_pem
from shared.ports import Crypto, HttpResponse

TOKEN_URL = "https://oauth2.googleapis.com/token"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_LIFE = timedelta(hours=1)
LONGEST_TTL_S = 28 * 24 * 3_600
SHORTEST_WAIT = timedelta(seconds=60)

CODES: Codes = {
    "UNREGISTERED": GONE,
    "SENDER_ID_MISMATCH": GONE,
    "INVALID_ARGUMENT": REFUSED,
    "THIRD_PARTY_AUTH_ERROR": PAUSE,
    "QUOTA_EXCEEDED": DEFER,
    # A repeated push replaces the first on the device.
    "UNAVAILABLE": RETRY,
    "INTERNAL": RETRY,
}
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
INVALID_TOKEN = "The registration token is not a valid FCM registration token"


class Fcm(Adapter):
    """Firebase Cloud Messaging."""

    provider_type = "fcm"
    channel = "push"
    required = ("projectId", "serviceAccountKey")
    hosts = ("fcm.googleapis.com", "oauth2.googleapis.com")

    async def token_request(self, secrets: Secrets, now: datetime, crypto: Crypto) -> HttpRequest:
        """Return the request that exchanges a signed assertion for an access token."""
        account = _account(secrets)
        claims = {
            "iss": account["client_email"],
            "scope": SCOPE,
            "aud": TOKEN_URL,
            "iat": int(now.timestamp()),
            "exp": int((now + TOKEN_LIFE).timestamp()),
        }
        header = {"typ": "JWT", "alg": "RS256", "kid": account["private_key_id"]}
        signed = f"{_base64url(json_bytes(header))}.{_base64url(json_bytes(claims))}"
        key = der_of_pem(account["private_key"])
        signature = await crypto.sign_rs256(key, signed.encode())
        fields = [("assertion", f"{signed}.{_base64url(signature)}"), ("grant_type", GRANT)]
        return HttpRequest("POST", TOKEN_URL, {"Content-Type": FORM_TYPE}, form_bytes(fields))

    def token(self, response: HttpResponse, now: datetime) -> AccessToken | Verdict:
        answer = json_of(response)
        token, seconds = text_at(answer, "access_token"), at(answer, "expires_in")
        if response.status == 200 and token and type(seconds) is int:
            return AccessToken(token, now + timedelta(seconds=seconds))
        code = text_at(answer, "error")
        verdict = decide(response, now, {"400": PAUSE}, code)
        # No message was sent, whatever the answer.
        return replace(verdict, kind="retry") if verdict.kind == "unknown" else verdict

    async def request(
        self,
        messages: Sequence[OutgoingPush],
        secrets: Secrets,
        call_id: str,
        now: datetime,
        crypto: Crypto,
    ) -> HttpRequest:
        del call_id, crypto
        [message] = messages
        project = label(secrets, "projectId")
        types = {
            "Authorization": f"Bearer {required(secrets, 'accessToken')}",
            "Content-Type": JSON_TYPE,
        }
        url = f"https://fcm.googleapis.com/v1/projects/{project}/messages:send"
        return HttpRequest("POST", url, types, json_bytes({"message": _fields(message, now)}))

    def verdicts(
        self, messages: Sequence[OutgoingPush], response: HttpResponse, now: datetime
    ) -> list[Verdict]:
        answer = json_of(response)
        if response.status == 200:
            name = text_at(answer, "name")
            return [accepted(name) if name else UNKNOWN]
        error = at(answer, "error")
        code = _code(error)
        if code == "INVALID_ARGUMENT" and _names_token(error):
            return [replace(GONE, code=code)]
        verdict = decide(response, now, CODES, code)
        if verdict.kind == "defer":
            shortest = now + SHORTEST_WAIT
            verdict = replace(verdict, until=max(verdict.until or shortest, shortest))
        return [verdict]


def _fields(message: OutgoingPush, now: datetime) -> dict[str, Any]:
    """Return the message. Each platform keeps one of the messages with the same collapse key."""
    left_s = int((message.expires_at - now).total_seconds())
    ttl_s = min(max(left_s, 0), LONGEST_TTL_S)
    expiration = int(now.timestamp()) + ttl_s
    return {
        "token": message.token,
        "notification": {"title": message.title, "body": message.body},
        "data": {**message.data, "message_id": message.message_id},
        "android": {"collapse_key": message.message_id, "ttl": f"{ttl_s}s"},
        "apns": {
            "headers": {
                "apns-collapse-id": message.message_id,
                "apns-expiration": str(expiration),
            }
        },
        "webpush": {
            "headers": {"TTL": str(ttl_s), "Topic": message.message_id.replace("-", "")[:32]}
        },
    }


def _account(secrets: Secrets) -> dict[str, str]:
    """Return the service account's key: JSON text, or an object. Raises CannotSend."""
    value = value_of(secrets, "serviceAccountKey")
    account = parsed(value) if isinstance(value, str) else value
    names = ("client_email", "private_key_id", "private_key")
    found = {
        name: text_at(dict(account), name) if isinstance(account, Mapping) else "" for name in names
    }
    if not all(found.values()):
        raise CannotSend(Verdict("pause", "config_service_account_key"))
    return found


def _code(error: Any) -> str:
    """Return the code of FCM; otherwise the code of Google's APIs."""
    for detail in list_at(error, "details"):
        if text_at(detail, "@type") == FCM_ERROR and text_at(detail, "errorCode"):
            return text_at(detail, "errorCode")
    return text_at(error, "status")


def _names_token(error: Any) -> bool:
    """Return True if the invalid argument is the device's token."""
    violations = [v for d in list_at(error, "details") for v in list_at(d, "fieldViolations")]
    fields = {text_at(violation, "field") for violation in violations}
    return "message.token" in fields or text_at(error, "message").startswith(INVALID_TOKEN)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


ADAPTER = Fcm()
