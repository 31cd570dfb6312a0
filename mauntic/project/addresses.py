"""The public address of a worker that answers requests."""

from __future__ import annotations

import re

_ADDRESS = re.compile(
    r"https://((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63})/?", re.ASCII
)
HOST_CHARS_MAX = 253


def host_of(address: str) -> str | None:
    """Return the host of an address; None unless it is `https://` and the name of a host.

    A worker has a domain of its own, so there is neither a path nor a port.

    >>> host_of("https://hooks.example.com"), host_of("https://example.com/hooks")
    ('hooks.example.com', None)
    """
    match = _ADDRESS.fullmatch(address)
    return match[1] if match and len(match[1]) <= HOST_CHARS_MAX else None
