"""Decrypt the configuration of a provider: `base64(iv):base64(ciphertext)`, AES-256-GCM."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from delivery.domain.verdict import Verdict
from shared.errors import CryptoFailed
from shared.ports import Crypto

KEY_NAME = "PROVIDER_KEY"
KEY_CHARS = 64


async def decrypted(config: Any, key: str | None, crypto: Crypto) -> dict[str, Any] | Verdict:
    """Return the configuration, or the verdict for its messages: nothing can be sent.

    The verdict names the part that is wrong, and never shows any of it.
    """
    try:
        key_bytes = bytes.fromhex((key or "").strip())
    except ValueError:
        return Verdict("pause", "provider_key")
    if len(key_bytes) * 2 != KEY_CHARS:
        return Verdict("pause", "provider_key")
    try:
        nonce, _, ciphertext = str(config).partition(":")
        plain = await crypto.decrypt_aes_gcm(
            key_bytes,
            base64.b64decode(nonce, validate=True),
            base64.b64decode(ciphertext, validate=True),
        )
        secrets = json.loads(plain)
    except (binascii.Error, CryptoFailed, ValueError):
        return Verdict("pause", "config_unreadable")
    return secrets if isinstance(secrets, dict) else Verdict("pause", "config_unreadable")
