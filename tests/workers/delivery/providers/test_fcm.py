"""FCM: firebase-admin's message and request, and google-auth's token request, are the oracle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import firebase_admin
import google.auth.transport.requests
import google.oauth2.credentials
import google.oauth2.service_account
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from firebase_admin import messaging
from hypothesis import given

from delivery.domain.outgoing import OutgoingPush
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import AccessToken, CannotSend, HttpRequest
from delivery.providers.fcm import FCM_ERROR, SCOPE, Fcm
from delivery.providers.push_encryption import from_base64url
from shared.ports import HttpResponse
from tests.workers.delivery.providers.support import (
    CRYPTO,
    NOW,
    answer,
    captured,
    form,
    pushes,
    request_of,
    same_headers,
)

FCM = Fcm()
KEY = rsa.generate_private_key(65_537, 2_048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
ACCOUNT = {
    "type": "service_account",
    "project_id": "acme-1",
    "private_key_id": "k1",
    "private_key": PEM,
    "client_email": "push@acme-1.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}
SECRETS = {"projectId": "acme-1", "serviceAccountKey": json.dumps(ACCOUNT)}
WITH_TOKEN = SECRETS | {"accessToken": "ya29.token"}


class Static(firebase_admin.credentials.Base):  # type: ignore[misc]
    """A credential of the SDK that has a token."""

    def get_credential(self) -> Any:
        return google.oauth2.credentials.Credentials(token="ya29.token")


@pytest.fixture(scope="module")
def app() -> Iterator[Any]:
    found = firebase_admin.initialize_app(Static(), {"projectId": "acme-1"}, name="test")
    yield found
    firebase_admin.delete_app(found)


@pytest.mark.filterwarnings("ignore:Message.token is deprecated")
@given(message=pushes())
def test_a_push_is_the_request_of_the_sdk(app: Any, message: OutgoingPush) -> None:
    left = max(timedelta(0), min(message.expires_at - NOW, timedelta(days=28)))
    seconds = int(left.total_seconds())
    headers = {
        "apns-collapse-id": message.message_id,
        "apns-expiration": str(int(NOW.timestamp()) + seconds),
    }
    theirs = messaging.Message(
        data={**message.data, "message_id": message.message_id},
        notification=messaging.Notification(title=message.title, body=message.body),
        android=messaging.AndroidConfig(collapse_key=message.message_id, ttl=seconds),
        apns=messaging.APNSConfig(headers=headers),
        webpush=messaging.WebpushConfig(
            headers={"TTL": str(seconds), "Topic": message.message_id.replace("-", "")}
        ),
        token=message.token,
    )
    with captured({"name": "projects/acme-1/messages/1"}) as sent:
        messaging.send(theirs, app=app)
    ours = request_of(FCM, [message], WITH_TOKEN)
    assert (ours.method, ours.url) == (sent.only.method, sent.only.url)
    same_headers(ours, sent.only.headers, ["x-goog-api-format-version", "x-firebase-client",
                                           "x-goog-api-client"])  # fmt: skip
    expected = sent.json
    # The service's default: it sends the message.
    assert expected.pop("validate_only", False) is False
    assert json.loads(ours.body) == expected


def token_request(secrets: dict[str, Any]) -> HttpRequest:
    return asyncio.run(FCM.token_request(secrets, NOW, CRYPTO))


@pytest.mark.parametrize("key", [json.dumps(ACCOUNT), ACCOUNT])
def test_the_token_request_is_that_of_the_sdk(key: Any) -> None:
    credentials = google.oauth2.service_account.Credentials.from_service_account_info(
        ACCOUNT, scopes=[SCOPE]
    )
    naive = NOW.replace(tzinfo=None)
    with (
        captured({"access_token": "t", "expires_in": 3_599}) as sent,
        patch("google.auth._helpers.utcnow", lambda: naive),
    ):
        credentials.refresh(google.auth.transport.requests.Request())
    ours = token_request({"project_id": "acme-1", "service_account_key": key})
    assert (ours.method, ours.url) == (sent.only.method, sent.only.url)
    same_headers(ours, sent.only.headers, ["x-goog-api-client"])
    body = sent.only.body
    assert isinstance(body, str | bytes)
    (_, mine), (_, grant) = form(ours.body)
    (_, theirs), (_, their_grant) = form(body)
    assert grant == their_grant
    assert assertion(mine) == assertion(theirs)


def assertion(token: str) -> tuple[Any, Any]:
    """Header and claims of a token that the account's public key accepts."""
    signed, _, signature = token.rpartition(".")
    KEY.public_key().verify(
        from_base64url(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    header, claims = (json.loads(from_base64url(part)) for part in signed.split("."))
    return header, claims


def test_a_token_is_read() -> None:
    response = answer(200, {"access_token": "ya29", "expires_in": 3_599, "token_type": "Bearer"})
    token = FCM.token(response, NOW)
    assert isinstance(token, AccessToken)
    assert (token.text, token.expires_at) == ("ya29", NOW + timedelta(seconds=3_599))
    assert "ya29" not in repr(token)


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (answer(400, {"error": "invalid_grant", "error_description": "x"}), "pause"),
        (answer(401, {"error": "invalid_client"}), "pause"),
        (answer(429, {}), "defer"),
        (answer(500, {}), "retry"),
        (answer(503, {}), "retry"),
        (answer(200, b"<html>"), "retry"),
        (answer(200, {"access_token": "t"}), "retry"),
    ],
)
def test_without_a_token_nothing_was_sent(response: HttpResponse, kind: str) -> None:
    verdict = FCM.token(response, NOW)
    assert isinstance(verdict, Verdict)
    assert verdict.kind == kind


@pytest.mark.parametrize("key", ["", "{}", "no json", {"client_email": "x"}])
def test_a_key_that_cannot_be_read_pauses(key: Any) -> None:
    with pytest.raises(CannotSend) as refused:
        token_request(SECRETS | {"serviceAccountKey": key})
    assert refused.value.verdict == Verdict("pause", "config_service_account_key")


def error(status: int, name: str, code: str = "", **rest: Any) -> HttpResponse:
    """An answer of FCM, with a detail of its own if it has a code."""
    details = [{"@type": FCM_ERROR, "errorCode": code}] if code else []
    details += rest.pop("details", [])
    return answer(status, {"error": {"code": status, "status": name, "details": details, **rest}})


BAD_TOKEN = {
    "@type": "type.googleapis.com/google.rpc.BadRequest",
    "fieldViolations": [{"field": "message.token", "description": "Invalid registration token"}],
}
OTHER_FIELD = BAD_TOKEN | {"fieldViolations": [{"field": "message.data[0].value"}]}
MESSAGE = "The registration token is not a valid FCM registration token"


@pytest.mark.parametrize(
    ("response", "kind", "code"),
    [
        (error(404, "NOT_FOUND", "UNREGISTERED"), "suppress", "UNREGISTERED"),
        (error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), "suppress", "SENDER_ID_MISMATCH"),
        (error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), "refused", "INVALID_ARGUMENT"),
        (
            error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", details=[BAD_TOKEN]),
            "suppress",
            "INVALID_ARGUMENT",
        ),
        (error(400, "INVALID_ARGUMENT", message=MESSAGE), "suppress", "INVALID_ARGUMENT"),
        (
            error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", details=[OTHER_FIELD]),
            "refused",
            "INVALID_ARGUMENT",
        ),
        (
            error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
            "pause",
            "THIRD_PARTY_AUTH_ERROR",
        ),
        (error(401, "UNAUTHENTICATED"), "pause", "UNAUTHENTICATED"),
        (error(403, "PERMISSION_DENIED"), "pause", "PERMISSION_DENIED"),
        (error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), "defer", "QUOTA_EXCEEDED"),
        (error(503, "UNAVAILABLE", "UNAVAILABLE"), "retry", "UNAVAILABLE"),
        (error(500, "INTERNAL", "INTERNAL"), "retry", "INTERNAL"),
        (error(404, "NOT_FOUND"), "unknown", "NOT_FOUND"),
        (answer(500, b"<html>"), "unknown", "500"),
        (answer(200, {}), "unknown", ""),
        (answer(200, b"{"), "unknown", ""),
        (answer(302, {}), "unknown", "302"),
    ],
)
def test_an_error_has_its_verdict(response: HttpResponse, kind: str, code: str) -> None:
    [verdict] = FCM.verdicts([], response, NOW)
    assert (verdict.kind, verdict.code) == (kind, code)
    assert (verdict.suppression == "device_gone") is (kind == "suppress")


@pytest.mark.parametrize(("header", "seconds"), [({}, 60), ({"retry_after": "5"}, 60),
                                                 ({"retry_after": "300"}, 300)])  # fmt: skip
def test_a_quota_waits_a_minute_at_least(header: dict[str, str], seconds: int) -> None:
    body = error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
    named = answer(429, body.body, **header)
    [verdict] = FCM.verdicts([], named, NOW)
    assert verdict.until == NOW + timedelta(seconds=seconds)


def test_a_push_is_accepted_with_its_name() -> None:
    [verdict] = FCM.verdicts([], answer(200, {"name": "projects/a/messages/1"}), NOW)
    assert verdict == Verdict("accepted", provider_message_id="projects/a/messages/1")
