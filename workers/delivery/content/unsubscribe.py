"""Links and headers of the one-click unsubscribe (RFC 8058)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from delivery.content.errors import ContentError
from shared.settings import origin_of
from shared.unsubscribe_token import UnsubscribeIds, sign

PATH = "/u/"
_REFUSED = frozenset(' <>"\\?#,')  # they would end the link in a header, or its path


def unsubscribe_url(base_url: str, ids: UnsubscribeIds, keys: Sequence[bytes]) -> str:
    """Return the link of a message. `base_url` is HOOKS_BASE_URL."""
    if not keys:
        raise ContentError("UNSUBSCRIBE_KEYS has no key: set the secret")
    return f"{base_of(base_url)}{PATH}{sign(ids, keys)}"


@lru_cache(maxsize=1)
def base_of(url: str) -> str:
    """Return the setting, checked once for all messages."""
    base = url.rstrip("/")
    if origin_of(base) is None or _REFUSED & set(base):
        raise ContentError(
            "HOOKS_BASE_URL is not a URL: set it to the address of the hooks worker,"
            " for example https://hooks.example.com"
        )
    return base


def unsubscribe_headers(url: str) -> dict[str, str]:
    """Return the headers by which a mail program unsubscribes with one POST."""
    return {
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
