"""Links that mail programs call with one POST."""

from __future__ import annotations

from uuid import UUID

import pytest

from delivery.content.errors import ContentError
from delivery.content.unsubscribe import unsubscribe_headers, unsubscribe_url
from shared.unsubscribe_token import UnsubscribeIds, verify

IDS = UnsubscribeIds(UUID(int=1), UUID(int=2), UUID(int=3))


@pytest.mark.parametrize("base", ["https://hooks.example", "https://hooks.example/"])
def test_a_link_has_a_token_that_verifies(base: str) -> None:
    url = unsubscribe_url(base, IDS, [b"key"])
    start, token = url[:24], url[24:]
    assert start == "https://hooks.example/u/"
    assert verify(token, [b"key"]) == IDS


@pytest.mark.parametrize(
    "base", ["", "hooks.example", "ftp://a.example", "https://a.example/?x=", "https://a.example/<",
             "https://a.example\r\nX: y", "https://user@a.example", "javascript:alert(1)"],
)  # fmt: skip
def test_a_wrong_base_is_a_problem_with_a_remedy(base: str) -> None:
    with pytest.raises(ContentError, match="HOOKS_BASE_URL is not a URL: set it to"):
        unsubscribe_url(base, IDS, [b"key"])


def test_a_missing_key_is_a_problem_with_a_remedy() -> None:
    with pytest.raises(ContentError, match="UNSUBSCRIBE_KEYS has no key: set the secret"):
        unsubscribe_url("https://hooks.example", IDS, [])


def test_the_headers_are_those_of_rfc_8058() -> None:
    assert unsubscribe_headers("https://hooks.example/u/x") == {
        "List-Unsubscribe": "<https://hooks.example/u/x>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
