"""Encryption of Web Push messages (RFC 8291, RFC 8188) and their sender's token (RFC 8292)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from delivery.providers.bodies import json_bytes
from shared.ports import Crypto, P256Key

RECORD_BYTES = 4_096
SALT_BYTES, AUTH_BYTES = 16, 16
# salt, record size, length of the key, key; the delimiter and the tag
OVERHEAD_BYTES = SALT_BYTES + 4 + 1 + 65 + 1 + 16
PAYLOAD_BYTES_MAX = RECORD_BYTES - OVERHEAD_BYTES


async def encrypt(
    payload: bytes, receiver: bytes, auth: bytes, ours: P256Key, salt: bytes, crypto: Crypto
) -> bytes:
    """Return the body of a push: one record for the `receiver`'s public key (65 bytes).

    `ours` is a key pair for this message alone, and `salt` 16 bytes that are never used again.
    """
    shared = await crypto.ecdh_p256(ours, receiver)
    info = b"WebPush: info\0" + receiver + ours.public
    secret = _derive(auth, shared, info, 32)
    key = _derive(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(salt, secret, b"Content-Encoding: nonce\0", 12)
    ciphertext = await crypto.encrypt_aes_gcm(key, nonce, payload + b"\2")
    header = salt + RECORD_BYTES.to_bytes(4) + bytes([len(ours.public)]) + ours.public
    return header + ciphertext


def salt_for(ours: P256Key, message_id: str) -> bytes:
    """Return a salt that no other message has: `ours` is random and used once."""
    return hmac.new(ours.private, message_id.encode(), hashlib.sha256).digest()[:SALT_BYTES]


async def sender_token(claims: Mapping[str, Any], key: P256Key, crypto: Crypto) -> str:
    """Return a JSON Web Token, signed with ES256."""
    header = base64url(json_bytes({"typ": "JWT", "alg": "ES256"}))
    signed = f"{header}.{base64url(json_bytes(dict(claims)))}"
    return f"{signed}.{base64url(await crypto.sign_es256(key, signed.encode()))}"


def base64url(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Return the bytes of base64url, with or without padding. Raises ValueError."""
    text = text.strip().rstrip("=")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _derive(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF with SHA-256 (RFC 5869), for at most 32 bytes."""
    key = hmac.new(salt, secret, hashlib.sha256).digest()
    return hmac.new(key, info + b"\1", hashlib.sha256).digest()[:length]
