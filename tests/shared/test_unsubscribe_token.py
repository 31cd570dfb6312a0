"""Tokens, against a second computation with the primitives of `cryptography`."""

from __future__ import annotations

import base64
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from hypothesis import given
from hypothesis import strategies as st

from shared.unsubscribe_token import UnsubscribeIds, keys_of, sign, verify

ids_ = st.builds(UnsubscribeIds, st.uuids(), st.uuids(), st.uuids())
IDS = UnsubscribeIds(UUID(int=1), UUID(int=2), UUID(int=3))


def computed(ids: UnsubscribeIds, key: bytes) -> str:
    """base64url(ids ‖ HMAC-SHA256(key, "u1" ‖ ids)[0:16])."""
    content = b"".join(id.bytes for id in (ids.organization_id, ids.contact_id, ids.message_id))
    mac = HMAC(key, SHA256())
    mac.update(b"u1" + content)
    return base64.urlsafe_b64encode(content + mac.finalize()[:16]).decode().replace("=", "")


@given(ids_, st.binary(min_size=1, max_size=80), st.binary(min_size=1, max_size=80))
def test_a_token_is_signed_with_the_first_key_and_verified_with_all(
    ids: UnsubscribeIds, new: bytes, old: bytes
) -> None:
    assert sign(ids, [new, old]) == computed(ids, new)
    assert verify(computed(ids, new), [new, old]) == ids
    assert verify(computed(ids, old), [new, old]) == ids


@given(ids_, st.integers(0, 85), st.sampled_from("Aa0-_=.é"))
def test_a_changed_token_is_refused(ids: UnsubscribeIds, place: int, character: str) -> None:
    """Each bit counts, also those that base64 would ignore at the end."""
    token = sign(ids, [b"key"])
    changed = token[:place] + character + token[place + 1 :]
    assert (verify(changed, [b"key"]) == ids) == (changed == token)


def test_the_last_character_has_one_spelling() -> None:
    token = sign(IDS, [b"key"])
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert [c for c in alphabet if verify(token[:-1] + c, [b"key"])] == [token[-1]]


@given(st.text(max_size=100))
def test_any_text_has_an_answer(text: str) -> None:
    assert verify(text, [b"key"]) is None


@pytest.mark.parametrize("keys", [[], [b"other"], [b""]])
def test_another_key_verifies_nothing(keys: list[bytes]) -> None:
    assert verify(sign(IDS, [b"key"]), keys) is None


def test_a_known_token() -> None:
    """Computed once with `openssl dgst -sha256 -hmac key`."""
    ids = "0000000000000000000000000000000100000000000000000000000000000002"
    ids += "00000000000000000000000000000003"
    mac = "2daf9046d2380bffaaffef00eaf7c19cda3b6ced36bdc16c22f9150aac9e9fab"
    expected = base64.urlsafe_b64encode(bytes.fromhex(ids + mac[:32])).decode().rstrip("=")
    assert sign(IDS, [b"key"]) == expected
    assert len(expected) == 86


@pytest.mark.parametrize(
    ("secret", "keys"),
    [(None, []), ("", []), (" a , ,b", [b"a", b"b"]), ("é", ["é".encode()])],
)
def test_keys_are_separated_by_commas(secret: str | None, keys: list[bytes]) -> None:
    assert keys_of(secret) == keys
