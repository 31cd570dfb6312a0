"""The derivation, compared with the standard library's, which the host has."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.postgres.pbkdf2 import install, pbkdf2_hmac


@given(password=st.binary(max_size=200), salt=st.binary(max_size=40), iterations=st.integers(1, 50))
@pytest.mark.parametrize("name", ["sha256", "sha1"])
def test_it_derives_what_openssl_derives(
    name: str, password: bytes, salt: bytes, iterations: int
) -> None:
    assert pbkdf2_hmac(name, password, salt, iterations) == hashlib.pbkdf2_hmac(
        name, password, salt, iterations
    )


def test_it_fills_the_gap_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a worker a login derives its key with this implementation, elsewhere with OpenSSL's."""
    openssl = vars(hashlib)["pbkdf2_hmac"]
    install()
    assert vars(hashlib)["pbkdf2_hmac"] is openssl
    monkeypatch.delattr(hashlib, "pbkdf2_hmac")
    install()
    assert vars(hashlib)["pbkdf2_hmac"] is pbkdf2_hmac
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", openssl)
