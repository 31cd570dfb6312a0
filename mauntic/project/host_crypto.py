"""The Crypto port on the host, over the package `cryptography`: an oracle of the tests too."""

from __future__ import annotations

from typing import Literal

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.errors import CryptoFailed
from shared.ports import P256Key

HASHES = {"SHA-1": hashes.SHA1(), "SHA-256": hashes.SHA256()}
ES256 = ec.ECDSA(hashes.SHA256())
POINT = (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


class HostCrypto:
    """A Crypto port on the host."""

    async def sign_rs256(self, private_key: bytes, data: bytes) -> bytes:
        try:
            key = serialization.load_der_private_key(private_key, None)
        except (ValueError, TypeError) as error:
            raise CryptoFailed("the RSA key is not PKCS #8") from error
        if not isinstance(key, rsa.RSAPrivateKey):
            raise CryptoFailed("the RSA key is not PKCS #8")
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())

    async def verify_rsa(
        self, public_key: bytes, digest: Literal["SHA-1", "SHA-256"], signature: bytes, data: bytes
    ) -> bool:
        try:
            key = serialization.load_der_public_key(public_key)
        except ValueError as error:
            raise CryptoFailed("the RSA key is not an SPKI") from error
        if not isinstance(key, rsa.RSAPublicKey):
            raise CryptoFailed("the RSA key is not an SPKI")
        try:
            key.verify(signature, data, padding.PKCS1v15(), HASHES[digest])
        except InvalidSignature:
            return False
        return True

    async def generate_p256(self) -> P256Key:
        return p256_key(ec.generate_private_key(ec.SECP256R1()))

    async def sign_es256(self, key: P256Key, data: bytes) -> bytes:
        r, s = decode_dss_signature(_private(key).sign(data, ES256))
        return r.to_bytes(32) + s.to_bytes(32)

    async def verify_es256(self, public_key: bytes, signature: bytes, data: bytes) -> bool:
        key = _public(public_key)
        if len(signature) != 64:
            return False
        numbers = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        try:
            key.verify(encode_dss_signature(*numbers), data, ES256)
        except InvalidSignature:
            return False
        return True

    async def ecdh_p256(self, key: P256Key, public_key: bytes) -> bytes:
        return _private(key).exchange(ec.ECDH(), _public(public_key))

    async def encrypt_aes_gcm(
        self, key: bytes, nonce: bytes, plaintext: bytes, associated: bytes = b""
    ) -> bytes:
        return _aes(key, nonce).encrypt(nonce, plaintext, associated)

    async def decrypt_aes_gcm(
        self, key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes = b""
    ) -> bytes:
        try:
            return _aes(key, nonce).decrypt(nonce, ciphertext, associated)
        except InvalidTag as error:
            raise CryptoFailed("the ciphertext is not authentic") from error


def p256_key(key: ec.EllipticCurvePrivateKey) -> P256Key:
    """Return the key as the port has it."""
    scalar = key.private_numbers().private_value.to_bytes(32)
    return P256Key(scalar, key.public_key().public_bytes(*POINT))


def _private(key: P256Key) -> ec.EllipticCurvePrivateKey:
    try:
        private = ec.derive_private_key(int.from_bytes(key.private), ec.SECP256R1())
    except ValueError as error:
        raise CryptoFailed("the key is not a pair on P-256") from error
    if p256_key(private).public != key.public:
        raise CryptoFailed("the key is not a pair on P-256")
    return private


def _public(point: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as error:
        raise CryptoFailed("the key is not a point of P-256") from error


def _aes(key: bytes, nonce: bytes) -> AESGCM:
    if len(key) not in (16, 32) or len(nonce) != 12:
        raise CryptoFailed("an AES key has 16 or 32 bytes, and its nonce 12")
    return AESGCM(key)
