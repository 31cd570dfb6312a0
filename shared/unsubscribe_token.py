"""Tokens of unsubscribe links. A token never expires, and no database is needed to verify it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.signing_keys import keys_of

__all__ = ["UnsubscribeIds", "keys_of", "sign", "verify"]

VERSION = b"u1"
ID_BYTES = 16
MAC_BYTES = 16
TOKEN_CHARS = 86  # of three ids and the MAC in base64url without padding


@dataclass(frozen=True)
class UnsubscribeIds:
    """Identify the message whose recipient unsubscribes."""

    organization_id: UUID
    contact_id: UUID
    message_id: UUID

    def to_bytes(self) -> bytes:
        """Return the three ids, one after the other."""
        return self.organization_id.bytes + self.contact_id.bytes + self.message_id.bytes


def sign(ids: UnsubscribeIds, keys: Sequence[bytes]) -> str:
    """Return the token, signed with the first key."""
    content = ids.to_bytes()
    return _encoded(content + _mac(content, keys[0]))


def verify(token: str, keys: Sequence[bytes]) -> UnsubscribeIds | None:
    """Return the ids of a token that one of the keys has signed; otherwise None.

    The time does not depend on the key or on how much of the MAC is right.
    """
    content = _decoded(token)
    if content is None:
        return None
    ids, mac = content[:-MAC_BYTES], content[-MAC_BYTES:]
    matches = [hmac.compare_digest(mac, _mac(ids, key)) for key in keys]  # all of them, always
    if not any(matches):
        return None
    parts = (ids[start : start + ID_BYTES] for start in range(0, len(ids), ID_BYTES))
    return UnsubscribeIds(*(UUID(bytes=part) for part in parts))


def _mac(content: bytes, key: bytes) -> bytes:
    return hmac.digest(key, VERSION + content, hashlib.sha256)[:MAC_BYTES]


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(token: str) -> bytes | None:
    """Return the bytes of a token; None if it is not the one spelling of its bytes."""
    if len(token) != TOKEN_CHARS or not token.isascii():
        return None
    try:
        content = base64.b64decode(f"{token}==", altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    return content if _encoded(content) == token else None
