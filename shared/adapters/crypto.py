"""The Crypto port over the runtime's `crypto.subtle`."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any, Literal, Protocol

from shared.errors import CryptoFailed
from shared.key_formats import POINT_BYTES, SCALAR_BYTES
from shared.ports import P256Key

RSA = "RSASSA-PKCS1-v1_5"
ECDSA = {"name": "ECDSA", "namedCurve": "P-256"}
ECDSA_SIGNATURE = {"name": "ECDSA", "hash": "SHA-256"}
ECDH = {"name": "ECDH", "namedCurve": "P-256"}
NONCE_BYTES, AES_KEY_BYTES = 12, (16, 32)
SECRET_BITS = 256


class Subtle(Protocol):
    """`crypto.subtle`, called with plain Python values."""

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call a method: dicts, lists and bytes become JavaScript's, and an ArrayBuffer bytes."""


class WebCrypto:
    """A Crypto port."""

    def __init__(self, subtle: Subtle) -> None:
        self._subtle = subtle

    async def sign_rs256(self, private_key: bytes, data: bytes) -> bytes:
        algorithm = {"name": RSA, "hash": "SHA-256"}
        with _failing("the RSA key is not PKCS #8"):
            key = await self._import("pkcs8", private_key, algorithm, "sign")
            return bytes(await self._subtle.call("sign", RSA, key, data))

    async def verify_rsa(
        self, public_key: bytes, digest: Literal["SHA-1", "SHA-256"], signature: bytes, data: bytes
    ) -> bool:
        algorithm = {"name": RSA, "hash": digest}
        with _failing("the RSA key is not an SPKI"):
            key = await self._import("spki", public_key, algorithm, "verify")
            return bool(await self._subtle.call("verify", RSA, key, signature, data))

    async def generate_p256(self) -> P256Key:
        with _failing("no key was generated"):
            pair = await self._subtle.call("generateKey", ECDH, True, ["deriveBits"])
            jwk = await self._subtle.call("exportKey", "jwk", pair.privateKey)
            scalar, x, y = (_unbase64url(getattr(jwk, name)) for name in "dxy")
            return P256Key(scalar, b"\4" + x + y)

    async def sign_es256(self, key: P256Key, data: bytes) -> bytes:
        with _failing("the key is not a pair on P-256"):
            imported = await self._import("jwk", _jwk(key), ECDSA, "sign")
            return bytes(await self._subtle.call("sign", ECDSA_SIGNATURE, imported, data))

    async def verify_es256(self, public_key: bytes, signature: bytes, data: bytes) -> bool:
        with _failing("the key is not a point of P-256"):
            key = await self._import("raw", _point(public_key), ECDSA, "verify")
            if len(signature) != 2 * SCALAR_BYTES:
                return False
            return bool(await self._subtle.call("verify", ECDSA_SIGNATURE, key, signature, data))

    async def ecdh_p256(self, key: P256Key, public_key: bytes) -> bytes:
        with _failing("a key is not a P-256 key"):
            ours = await self._import("jwk", _jwk(key), ECDH, "deriveBits")
            theirs = await self._import("raw", _point(public_key), ECDH)
            algorithm = {"name": "ECDH", "public": theirs}
            return bytes(await self._subtle.call("deriveBits", algorithm, ours, SECRET_BITS))

    async def encrypt_aes_gcm(
        self, key: bytes, nonce: bytes, plaintext: bytes, associated: bytes = b""
    ) -> bytes:
        with _failing("the AES key is invalid"):
            imported = await self._aes(key, nonce, "encrypt")
            algorithm = _gcm(nonce, associated)
            return bytes(await self._subtle.call("encrypt", algorithm, imported, plaintext))

    async def decrypt_aes_gcm(
        self, key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes = b""
    ) -> bytes:
        with _failing("the ciphertext is not authentic, or the key is another one"):
            imported = await self._aes(key, nonce, "decrypt")
            algorithm = _gcm(nonce, associated)
            return bytes(await self._subtle.call("decrypt", algorithm, imported, ciphertext))

    async def _aes(self, key: bytes, nonce: bytes, use: str) -> Any:
        if len(key) not in AES_KEY_BYTES or len(nonce) != NONCE_BYTES:
            raise CryptoFailed("an AES key has 16 or 32 bytes, and its nonce 12")
        return await self._import("raw", key, {"name": "AES-GCM"}, use)

    async def _import(self, encoding: str, key: Any, algorithm: dict[str, str], *uses: str) -> Any:
        usages: Sequence[str] = list(uses)
        return await self._subtle.call("importKey", encoding, key, algorithm, False, usages)


def _gcm(nonce: bytes, associated: bytes) -> dict[str, Any]:
    algorithm: dict[str, Any] = {"name": "AES-GCM", "iv": nonce}
    return algorithm | ({"additionalData": associated} if associated else {})


def _jwk(key: P256Key) -> dict[str, str]:
    if len(key.private) != SCALAR_BYTES:
        raise CryptoFailed("a private key of P-256 has 32 bytes")
    point = _point(key.public)
    parts = {"d": key.private, "x": point[1:33], "y": point[33:]}
    return {"kty": "EC", "crv": "P-256"} | {n: _base64url(part) for n, part in parts.items()}


def _point(public_key: bytes) -> bytes:
    if len(public_key) != POINT_BYTES or public_key[0] != 4:
        raise CryptoFailed("a public key of P-256 has 65 bytes, the first of them 4")
    return public_key


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unbase64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@contextmanager
def _failing(meaning: str) -> Any:
    """Turn the runtime's exceptions, whose text says little, into a CryptoFailed."""
    try:
        yield
    except CryptoFailed:
        raise
    except Exception as error:  # a JsException, whose class the host does not have
        raise CryptoFailed(meaning) from error
