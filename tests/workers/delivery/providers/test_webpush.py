"""Web Push: the vectors of the RFCs, pywebpush's request, and py-vapid's verification."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from datetime import timedelta
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st
from py_vapid import Vapid02

from delivery.domain.outgoing import OutgoingPush
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import CannotSend, HttpRequest
from delivery.providers.push_encryption import (
    PAYLOAD_BYTES_MAX,
    base64url,
    encrypt,
    from_base64url,
    salt_for,
    sender_token,
)
from delivery.providers.webpush import WebPush
from mauntic.project.host_crypto import p256_key
from shared.ports import P256Key
from tests.workers.delivery.providers.support import (
    CRYPTO,
    NOW,
    answer,
    captured,
    request_of,
    same_headers,
    seconds_left,
)

WEBPUSH = WebPush()
SENDER = p256_key(ec.derive_private_key(7_919, ec.SECP256R1()))
BROWSER = ec.derive_private_key(104_729, ec.SECP256R1())
AUTH = bytes(range(16))
SECRETS = {
    "vapidPrivateKey": base64url(SENDER.private),
    "vapidPublicKey": base64url(SENDER.public),
    "subject": "mailto:ops@acme.example",
}


def push(**fields: Any) -> OutgoingPush:
    """A small push to a browser of Mozilla."""
    return OutgoingPush(
        **{
            "message_id": "0b7c56a4-1111-4111-8111-0123456789ab",
            "message_class": "transactional",
            "token": "https://updates.push.services.mozilla.com/wpush/v2/gAAAA",
            "title": "Your order",
            "body": "It is on its way",
            "expires_at": NOW + timedelta(hours=1),
            "data": {"url": "https://acme.example/o/1"},
            "p256dh": base64url(p256_key(BROWSER).public),
            "auth": base64url(AUTH),
            **fields,
        }
    )


def decrypted(body: bytes, browser: ec.EllipticCurvePrivateKey, auth: bytes) -> bytes:
    """RFC 8291 and RFC 8188 once more, from the browser's side, with another implementation."""
    salt, size, length = body[:16], int.from_bytes(body[16:20]), body[20]
    sender, record = body[21 : 21 + length], body[21 + length :]
    assert size == 4_096
    assert len(record) <= size
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
    shared = browser.exchange(ec.ECDH(), point)
    info = b"WebPush: info\0" + p256_key(browser).public + sender
    secret = HKDF(hashes.SHA256(), 32, auth, info).derive(shared)
    key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(secret)
    nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(secret)
    padded = AESGCM(key).decrypt(nonce, record, None).rstrip(b"\0")
    assert padded.endswith(b"\2")
    return padded[:-1]


def test_the_vector_of_rfc_8291_appendix_a() -> None:
    ours = P256Key(
        from_base64url("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"),
        from_base64url(
            "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
        ),
    )
    receiver = from_base64url(
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
    )
    body = asyncio.run(
        encrypt(
            b"When I grow up, I want to be a watermelon",
            receiver,
            from_base64url("BTBZMqHH6r4Tts7J_aSIgg"),
            ours,
            from_base64url("DGv6ra1nlYgDCS1FRnbzlw"),
            CRYPTO,
        )
    )
    assert base64url(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS"
        "6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulc"
        "y4a-fN"
    )


def test_the_vector_of_rfc_8292_section_2_4() -> None:
    """The token of the RFC is valid for its key, and ours differs from it by the signature."""
    token = (
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAi"
        "OjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLG"
        "kMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA"
    )
    key = from_base64url(
        "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
    )
    signed, _, signature = token.rpartition(".")
    raw = from_base64url(signature)
    assert asyncio.run(CRYPTO.verify_es256(key, raw, signed.encode()))
    claims = {
        "aud": "https://push.example.net",
        "exp": 1453523768,
        "sub": "mailto:push@example.com",
    }
    assert asyncio.run(sender_token(claims, SENDER, CRYPTO)).rpartition(".")[0] == signed


@given(st.text(max_size=60), st.text(max_size=200), seconds_left)
def test_the_browser_reads_what_was_sent(title: str, text: str, seconds: int) -> None:
    message = push(title=title, body=text, expires_at=NOW + timedelta(seconds=seconds))
    request = request_of(WEBPUSH, [message], SECRETS)
    assert json.loads(decrypted(request.body, BROWSER, AUTH)) == {
        "title": title,
        "body": text,
        "data": {"url": "https://acme.example/o/1", "message_id": message.message_id},
    }
    assert int(request.headers["TTL"]) == min(max(seconds, 0), 2_419_200)


def sdk() -> ModuleType:
    """The SDK. Its encryption is a package without a wheel; other tests check ours."""
    ece = ModuleType("http_ece")
    ece.encrypt = lambda data, **rest: b"encrypted"  # type: ignore[attr-defined]
    sys.modules["http_ece"] = ece
    return importlib.import_module("pywebpush")


PYWEBPUSH = sdk()


@given(st.integers(0, 2_419_200), st.sampled_from(["marketing", "transactional"]))
@settings(max_examples=25)
def test_the_request_is_that_of_the_sdk(seconds: int, message_class: Any) -> None:
    message = push(expires_at=NOW + timedelta(seconds=seconds), message_class=message_class)
    ours = request_of(WEBPUSH, [message], SECRETS)
    subscription = {
        "endpoint": message.token,
        "keys": {"p256dh": message.p256dh, "auth": message.auth},
    }
    expires = int((NOW + timedelta(hours=12)).timestamp())
    is_urgent = message_class == "transactional"
    clock = SimpleNamespace(time=NOW.timestamp)
    with captured({}, 201) as sent, patch.object(PYWEBPUSH, "time", clock):
        PYWEBPUSH.webpush(
            subscription,
            data="x",
            ttl=seconds,
            vapid_private_key=SECRETS["vapidPrivateKey"],
            vapid_claims={"sub": SECRETS["subject"], "exp": expires},
            headers={
                "urgency": "high" if is_urgent else "normal",
                "topic": message.message_id.replace("-", ""),
            },
        )
    theirs = sent.only
    assert (ours.method, ours.url) == (theirs.method, theirs.url)
    same_headers(ours, theirs.headers, ["authorization"])
    assert token_of(ours.headers["Authorization"]) == token_of(theirs.headers["Authorization"])


def token_of(authorization: str | bytes) -> tuple[Any, Any, str]:
    """Header, claims and key of a token whose signature py-vapid accepts."""
    text = authorization.decode() if isinstance(authorization, bytes) else authorization
    assert Vapid02.verify(text)
    token, _, key = text.removeprefix("vapid t=").partition(",k=")
    header, claims = (json.loads(from_base64url(part)) for part in token.split(".")[:2])
    return header, claims, key


def test_the_token_lives_less_than_a_day() -> None:
    request = request_of(WEBPUSH, [push()], SECRETS)
    _, claims, _ = token_of(request.headers["Authorization"])
    assert 0 < claims["exp"] - NOW.timestamp() < 86_400
    assert claims["aud"] == "https://updates.push.services.mozilla.com"


def test_no_two_messages_have_the_same_key_and_salt() -> None:
    bodies = [request_of(WEBPUSH, [push()], SECRETS).body for _ in range(2)]
    assert bodies[0][:16] != bodies[1][:16]
    assert bodies[0][21:86] != bodies[1][21:86]
    assert salt_for(SENDER, "a") != salt_for(SENDER, "b")


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/abc",
        "https://wns2-par02p.notify.windows.com/w/?token=BQ",
        "https://web.push.apple.com/QH",
        "https://autopush.prod.push.services.mozilla.com/wpush/v2/x",
    ],
)
def test_the_push_services_of_the_browsers_are_allowed(endpoint: str) -> None:
    assert request_of(WEBPUSH, [push(token=endpoint)], SECRETS).url == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://10.0.0.1/x",
        "https://localhost/x",
        "http://fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://fcm.googleapis.com@evil.example/x",
        "https://evil.example/fcm.googleapis.com",
        "https://notify.windows.com.evil.example/",
        "https://evilnotify.windows.com.example/",
        "https://xpush.apple.com/",
        "",
    ],
)
def test_another_endpoint_is_refused(endpoint: str) -> None:
    assert refusal(push(token=endpoint)) == Verdict("refused", "endpoint_host")


def refusal(message: OutgoingPush, **secrets: str) -> Verdict:
    with pytest.raises(CannotSend) as refused:
        request_of(WEBPUSH, [message], SECRETS | secrets)
    assert str(refused.value) == refused.value.verdict.code
    return refused.value.verdict


def test_what_a_browser_or_a_configuration_lacks_is_refused() -> None:
    assert refusal(push(p256dh="AAAA")) == Verdict("refused", "subscription_keys")
    assert refusal(push(auth="!")) == Verdict("refused", "subscription_keys")
    assert refusal(push(), subject="") == Verdict("pause", "config_subject")
    assert refusal(push(), vapidPublicKey="AAAA") == Verdict("pause", "config_vapid_keys")


def test_the_largest_payload_fills_the_record() -> None:
    def of(length: int) -> HttpRequest:
        return request_of(WEBPUSH, [push(body="x" * length)], SECRETS)

    room = PAYLOAD_BYTES_MAX - len(decrypted(of(0).body, BROWSER, AUTH))
    assert len(of(room).body) == 4_096
    assert refusal(push(body="x" * (room + 1))) == Verdict("refused", "payload_too_large")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (201, "accepted"),
        (404, "suppress"),
        (410, "suppress"),
        (400, "pause"),
        (401, "pause"),
        (403, "pause"),
        (413, "refused"),
        (429, "defer"),
        (408, "retry"),
        (503, "retry"),
        (500, "unknown"),
        (200, "unknown"),
        (302, "unknown"),
    ],
)
def test_a_status_has_its_verdict(status: int, kind: str) -> None:
    [verdict] = WEBPUSH.verdicts([push()], answer(status, b"", location="https://p/m/1"), NOW)
    assert verdict.kind == kind
    assert (verdict.suppression == "device_gone") is (kind == "suppress")
    assert (verdict.provider_message_id == "https://p/m/1") is (kind == "accepted")
