"""Keys and signatures, read as the package `cryptography` writes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from mauntic.project.host_crypto import p256_key
from shared.errors import CryptoFailed
from shared.key_formats import der_of_pem, point_of_spki, raw_signature, spki_of_certificate

DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
RSA_KEY = rsa.generate_private_key(65_537, 2_048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.example.com")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    return builder.not_valid_after(datetime(2027, 1, 1, tzinfo=UTC)).sign(key, hashes.SHA256())


@pytest.mark.parametrize("key", [RSA_KEY, EC_KEY], ids=["rsa", "ec"])
def test_the_key_of_a_certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    made = certificate(key)
    pem = made.public_bytes(PEM).decode()
    assert der_of_pem(pem) == made.public_bytes(DER)
    assert spki_of_certificate(der_of_pem(pem)) == key.public_key().public_bytes(DER, SPKI)


def test_the_point_of_a_key() -> None:
    spki = EC_KEY.public_key().public_bytes(DER, SPKI)
    assert point_of_spki(spki) == p256_key(EC_KEY).public
    with pytest.raises(CryptoFailed):
        point_of_spki(RSA_KEY.public_key().public_bytes(DER, SPKI))


@given(r=st.integers(1, 2**256 - 1), s=st.integers(1, 2**256 - 1))
def test_a_signature_as_two_numbers(r: int, s: int) -> None:
    raw = raw_signature(encode_dss_signature(r, s))
    assert raw == r.to_bytes(32) + s.to_bytes(32)


@given(garbage=st.binary(max_size=80))
def test_garbage_is_one_error(garbage: bytes) -> None:
    for read in (spki_of_certificate, point_of_spki, raw_signature):
        with pytest.raises(CryptoFailed):
            read(garbage)


@given(cut=st.integers(0, 700))
def test_a_certificate_that_is_cut_off_is_one_error(cut: int) -> None:
    whole = certificate(RSA_KEY).public_bytes(DER)
    with pytest.raises(CryptoFailed):
        spki_of_certificate(whole[: min(cut, len(whole) - 1)])


def test_a_text_without_pem_is_one_error() -> None:
    assert der_of_pem("no key") == b""
    with pytest.raises(CryptoFailed):
        spki_of_certificate(der_of_pem("no key"))
