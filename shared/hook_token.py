"""Tokens of webhook URLs: who knows the token may send events of one provider config.

A token is the HMAC-SHA256 of the config's id, both as text, so anyone with the key can compute it:

    printf %s 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c | openssl dgst -sha256 -hmac "$HOOK_KEY"
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from uuid import UUID

from shared.signing_keys import keys_of

__all__ = ["hook_url", "keys_of", "sign", "verify"]


def sign(config_id: UUID, keys: Sequence[bytes]) -> str:
    """Return the token of a provider config, signed with the first key."""
    return _mac(config_id, keys[0])


def hook_url(
    base_url: str, provider: str, config_id: UUID, keys: Sequence[bytes], message_id: str = ""
) -> str:
    """Return the URL at which a provider reports events of a config, or of one message of it."""
    url = f"{base_url.rstrip('/')}/hooks/{provider}/{config_id}/{sign(config_id, keys)}"
    return f"{url}/{message_id}" if message_id else url


def verify(token: str, config_id: UUID, keys: Sequence[bytes]) -> bool:
    """Return whether one of the keys has signed the token for this config.

    The time does not depend on the key or on how much of the token is right.
    """
    given = token.encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(given, _mac(config_id, key).encode()) for key in keys]  # all
    return any(matches)


def _mac(config_id: UUID, key: bytes) -> str:
    return hmac.new(key, str(config_id).encode(), hashlib.sha256).hexdigest()
