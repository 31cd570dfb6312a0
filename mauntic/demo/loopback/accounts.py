"""A customer of every imitated provider: its keys and its encrypted configurations."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mauntic.demo.loopback.fcm import Fcm
from mauntic.demo.loopback.mailgun import Mailgun
from mauntic.demo.loopback.postmark import Postmark
from mauntic.demo.loopback.provider import Provider
from mauntic.demo.loopback.resend import Resend
from mauntic.demo.loopback.sendgrid import SendGrid
from mauntic.demo.loopback.ses import Ses
from mauntic.demo.loopback.twilio import Twilio
from mauntic.demo.loopback.webpush import WebPush
from mauntic.project.host_crypto import p256_key
from shared.ports import P256Key

PROVIDERS = (Ses, SendGrid, Postmark, Resend, Mailgun, Twilio, Fcm, WebPush)


@dataclass(frozen=True, repr=False)
class Accounts:
    """The secrets of each provider, and the browser to which its Web Push messages go."""

    secrets: Mapping[str, Mapping[str, Any]]
    device: Mapping[str, str]

    def providers(self) -> list[Provider]:
        return [made(self.secrets[made.name]) for made in PROVIDERS]


def new_accounts() -> Accounts:
    """Open an account at each provider."""
    vapid, device = _curve_key(), _curve_key()
    return Accounts(
        {
            "ses": {
                "region": "eu-west-1",
                "accessKeyId": "AKIDEXAMPLE",
                "secretAccessKey": "secret",
                "configurationSet": "events",
            },
            "sendgrid": {"apiKey": "SG.secret"},
            "postmark": {"serverToken": "secret", "broadcastStream": "broadcast"},
            "resend": {"apiKey": "re_secret"},
            "mailgun": {"apiKey": "key-secret", "domain": "mg.example"},
            "twilio": {"accountSid": "AC1", "authToken": "secret", "fromNumber": "+15005550006"},
            "fcm": {"projectId": "demo", "serviceAccountKey": json.dumps(_service_account())},
            "webpush": {
                "vapidPrivateKey": _base64url(vapid.private),
                "vapidPublicKey": _base64url(vapid.public),
                "subject": "mailto:push@acme.example",
            },
        },
        {"p256dh": _base64url(device.public), "auth": _base64url(os.urandom(16))},
    )


def encrypted(config: Mapping[str, Any], key: str) -> str:
    """Return a configuration as the platform stores it: encrypted with the key, in hex."""
    nonce = os.urandom(12)
    ciphertext = AESGCM(bytes.fromhex(key)).encrypt(nonce, json.dumps(config).encode(), b"")
    return f"{base64.b64encode(nonce).decode()}:{base64.b64encode(ciphertext).decode()}"


def _service_account() -> dict[str, str]:
    """Return a key of FCM, with the modulus and exponent that Google keeps."""
    key = rsa.generate_private_key(65_537, 2_048)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    numbers = key.public_key().public_numbers()
    return {
        "client_email": "sender@demo.iam.example",
        "private_key_id": "demo",
        "private_key": key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode(),
        "n": _base64url(numbers.n.to_bytes(256)),
        "e": _base64url(numbers.e.to_bytes(3)),
    }


def _curve_key() -> P256Key:
    return p256_key(ec.generate_private_key(ec.SECP256R1()))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
