"""Tokens of webhook URLs, against a second computation with the primitives of `cryptography`."""

from __future__ import annotations

import hmac
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from hypothesis import given
from hypothesis import strategies as st

from shared.hook_token import hook_url, keys_of, sign, verify

CONFIG = UUID("018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c")
keys = st.binary(min_size=1, max_size=80)


def computed(config: UUID, key: bytes) -> str:
    mac = HMAC(key, SHA256())
    mac.update(str(config).encode())
    return mac.finalize().hex()


@given(st.uuids(), keys, keys)
def test_a_token_is_signed_with_the_first_key_and_verified_with_all(
    config: UUID, new: bytes, old: bytes
) -> None:
    assert sign(config, [new, old]) == computed(config, new)
    assert verify(computed(config, new), config, [new, old])
    assert verify(computed(config, old), config, [new, old])


@given(st.integers(0, 63), st.sampled_from("0aAfg-é\0\ud800"))
def test_a_changed_token_is_refused(place: int, character: str) -> None:
    token = sign(CONFIG, [b"key"])
    changed = token[:place] + character + token[place + 1 :]
    assert verify(changed, CONFIG, [b"key"]) == (changed == token)


@given(st.text(max_size=100))
def test_any_text_has_an_answer(text: str) -> None:
    assert not verify(text, CONFIG, [b"key"])


@pytest.mark.parametrize("wrong", ["", " ", "upper", "short", "long", "space"])
def test_a_token_has_one_spelling(wrong: str) -> None:
    token = sign(CONFIG, [b"key"])
    spellings = {
        "upper": token.upper(),
        "short": token[:-1],
        "long": f"{token}0",
        "space": f"{token} ",
    }
    assert not verify(spellings.get(wrong, wrong), CONFIG, [b"key"])


@pytest.mark.parametrize("others", [[], [b"other"], [b""]])
def test_another_key_verifies_nothing(others: list[bytes]) -> None:
    assert not verify(sign(CONFIG, [b"key"]), CONFIG, others)


def test_the_token_of_one_config_opens_no_other() -> None:
    assert not verify(sign(CONFIG, [b"key"]), UUID(int=1), [b"key"])


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a prefix of the token nor the place of the right key shows in the time."""
    compared = []

    def counting(given: bytes, expected: bytes) -> bool:
        compared.append(expected.decode())
        return given == expected

    monkeypatch.setattr(hmac, "compare_digest", counting)
    three = [b"a", b"b", b"c"]
    for token in (sign(CONFIG, three), sign(CONFIG, [b"c"]), "", sign(CONFIG, three)[:-1] + "x"):
        compared.clear()
        verify(token, CONFIG, three)
        assert compared == [computed(CONFIG, key) for key in three]


def test_a_known_token() -> None:
    """Computed once with `openssl dgst -sha256 -hmac key`."""
    known = "9314e0c2a5facbbab0fbbcdc635fef7617aae7ec31d623e933c97a880c9fd21b"
    assert sign(CONFIG, [b"key"]) == known


@pytest.mark.parametrize("base", ["https://h.example", "https://h.example/"])
def test_a_url_names_provider_config_and_message(base: str) -> None:
    start = f"https://h.example/hooks/twilio/{CONFIG}/{computed(CONFIG, b'key')}"
    assert hook_url(base, "twilio", CONFIG, [b"key"]) == start
    assert hook_url(base, "twilio", CONFIG, [b"key"], "m-1") == f"{start}/m-1"


def test_keys_are_separated_by_commas() -> None:
    assert keys_of(" a , ,b") == [b"a", b"b"]
    assert keys_of(None) == []
