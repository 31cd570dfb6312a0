"""PBKDF2 for a runtime whose hashlib has none: it derives the key of a SCRAM login.

Pyodide is built without OpenSSL, so scramp falls back to a loop that takes about 70 ms in
WebAssembly for every connection. This loop takes a third of that, and the result is kept: it
depends only on password, salt and iterations, which do not change for one role.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache


@lru_cache(maxsize=8)
def pbkdf2_hmac(hash_name: str, password: bytes, salt: bytes, iterations: int) -> bytes:
    """Return the first block of PBKDF2-HMAC (RFC 8018, section 5.2), as long as the hash's
    digest.
    """
    inner, outer = (_hash_padded_key(hash_name, password, pad) for pad in (0x36, 0x5C))

    def mac(message: bytes) -> bytes:
        within, around = inner.copy(), outer.copy()
        within.update(message)
        around.update(within.digest())
        return around.digest()

    block = mac(salt + b"\x00\x00\x00\x01")
    derived = int.from_bytes(block)
    for _ in range(iterations - 1):
        block = mac(block)
        derived ^= int.from_bytes(block)
    return derived.to_bytes(len(block))


def install() -> None:
    """Add the function to hashlib if it is missing."""
    if not hasattr(hashlib, "pbkdf2_hmac"):
        hashlib.pbkdf2_hmac = pbkdf2_hmac  # type: ignore[assignment]


def _hash_padded_key(hash_name: str, key: bytes, pad: int) -> hashlib._Hash:
    """Return the hash after its first block: the key XOR the pad (RFC 2104)."""
    state = hashlib.new(hash_name)
    if len(key) > state.block_size:
        key = hashlib.new(hash_name, key).digest()
    state.update(bytes(byte ^ pad for byte in key.ljust(state.block_size, b"\0")))
    return state
