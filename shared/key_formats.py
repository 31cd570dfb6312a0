"""Formats of keys and signatures, read without a library: workers have none for them. Pure."""

from __future__ import annotations

import base64
import binascii
import re

from shared.errors import CryptoFailed

_PEM = re.compile(r"-----BEGIN [A-Z ]+-----(?P<body>[A-Za-z0-9+/=\s]+)-----END [A-Z ]+-----")
_SEQUENCE, _INTEGER, _BIT_STRING, _VERSION = 0x30, 0x02, 0x03, 0xA0
POINT_BYTES, SCALAR_BYTES = 65, 32


def der_of_pem(text: str) -> bytes:
    """Return the DER bytes of the first PEM block of the text."""
    match = _PEM.search(text)
    try:
        return base64.b64decode("".join(match["body"].split()), validate=True) if match else b""
    except binascii.Error:
        raise CryptoFailed("the PEM block is not base64") from None


def spki_of_certificate(certificate: bytes) -> bytes:
    """Return the public key (SPKI, DER) of an X.509 certificate (DER). Checks no signature."""
    tbs = _content(_content(certificate, _SEQUENCE), _SEQUENCE)
    fields = _elements(tbs)
    if fields and fields[0][0] == _VERSION:
        fields = fields[1:]
    # serial number, signature algorithm, issuer, validity, subject, public key
    if len(fields) < 6 or fields[5][0] != _SEQUENCE:
        raise CryptoFailed("the certificate has no public key")
    return fields[5][1]


def point_of_spki(spki: bytes) -> bytes:
    """Return the public point (65 bytes) of a P-256 key in SPKI form."""
    fields = _elements(_content(spki, _SEQUENCE))
    point = _content(fields[1][1], _BIT_STRING)[1:] if len(fields) == 2 else b""
    if len(point) != POINT_BYTES or point[0] != 4:
        raise CryptoFailed("the key is not an uncompressed point of P-256")
    return point


def raw_signature(der: bytes) -> bytes:
    """Return r and s, 32 bytes each, of an ECDSA signature in DER."""
    numbers = _elements(_content(der, _SEQUENCE))
    if [tag for tag, _ in numbers] != [_INTEGER, _INTEGER]:
        raise CryptoFailed("the signature is not a pair of integers")
    parts = [_content(number, _INTEGER).lstrip(b"\0") for _, number in numbers]
    if any(len(part) > SCALAR_BYTES for part in parts):
        raise CryptoFailed("the signature is too long for P-256")
    return b"".join(part.rjust(SCALAR_BYTES, b"\0") for part in parts)


def _content(data: bytes, tag: int) -> bytes:
    """Return the content of the element that `data` begins with."""
    if not data or data[0] != tag:
        raise CryptoFailed("the DER structure is not the expected one")
    start, stop = _bounds(data, 0)
    return data[start:stop]


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Return (tag, complete element) of all consecutive elements."""
    found, offset = [], 0
    while offset < len(data):
        _, stop = _bounds(data, offset)
        found.append((data[offset], data[offset:stop]))
        offset = stop
    return found


def _bounds(data: bytes, offset: int) -> tuple[int, int]:
    """Return the start and end of the content of the element at `offset`."""
    start = offset + 2
    if start > len(data):
        raise CryptoFailed("the DER structure is cut off")
    length = data[offset + 1]
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4:
            raise CryptoFailed("a DER length is invalid")
        length = int.from_bytes(data[start : start + size])
        start += size
    if start + length > len(data):
        raise CryptoFailed("the DER structure is cut off")
    return start, start + length
