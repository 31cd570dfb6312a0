"""The keys that sign and verify tokens: a secret with one or more keys."""

from __future__ import annotations


def keys_of(secret: str | None) -> list[bytes]:
    """Return the keys of a secret, which are separated by commas. The first signs, all verify.

    >>> keys_of("new, old,"), keys_of(None)
    ([b'new', b'old'], [])
    """
    return [key.strip().encode() for key in (secret or "").split(",") if key.strip()]
