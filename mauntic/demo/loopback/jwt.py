"""JSON Web Tokens, as far as a provider reads them."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

# The ASN.1 prefix of a SHA-256 digest (RFC 8017, section 9.2).
SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


@dataclass(frozen=True, repr=False)
class Jwt:
    """A token that was read, and not yet verified."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the token; None if the text is none."""
        try:
            header, claims, signature = text.split(".")
            signed = f"{header}.{claims}".encode()
            parts = [json.loads(decoded(part)) for part in (header, claims)]
            return cls(parts[0], parts[1], signed, decoded(signature))
        except ValueError:
            return None


def decoded(text: str) -> bytes:
    """Return the bytes of base64url without padding.

    >>> decoded("AQI")
    b'\\x01\\x02'
    """
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def is_rs256(token: Jwt, key: Mapping[str, str]) -> bool:
    """Return True if the token is signed with RS256 by the key: modulus and exponent of a JWK."""
    modulus, exponent = (int.from_bytes(decoded(key[name])) for name in ("n", "e"))
    size = (modulus.bit_length() + 7) // 8
    digest = SHA256_PREFIX + hashlib.sha256(token.signed).digest()
    expected = b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest
    given = pow(int.from_bytes(token.signature), exponent, modulus).to_bytes(size)
    return token.header.get("alg") == "RS256" and given == expected
