"""Settings of a deployment: gates, addresses, allowed hosts. Each of them is optional."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

# Narrower than the standard: Python's and JavaScript's parsers must see the same host, and a user
# name before `@` or a backslash would let them differ.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?P<port>:\d{1,5})?"
    r"(?P<rest>[/?#][!-\[\]-~]*)?",
    re.IGNORECASE | re.ASCII,
)


class Gate(Enum):
    """State of a worker's gate."""

    OPEN = "open"
    HELD = "held"
    WRONG = "wrong"


@dataclass(frozen=True)
class Settings:
    """`get` reads a secret or variable by name; it returns None if the name is not set."""

    get: Callable[[str], str | None]

    def gate(self, name: str) -> Gate:
        """Return OPEN if the gate is unset or `true`, HELD if it is `false`, otherwise WRONG.

        >>> Settings({"ENABLE_X": "False"}.get).gate("ENABLE_X")
        <Gate.HELD: 'held'>
        """
        value = self.get(name)
        value = "true" if value is None else value.strip().lower()
        return {"true": Gate.OPEN, "false": Gate.HELD}.get(value, Gate.WRONG)

    @property
    def alert_webhook_url(self) -> str | None:
        """URL that receives alerts; None sends none. A secret: never logged."""
        return self.get("ALERT_WEBHOOK_URL") or None

    @property
    def heartbeat_url(self) -> str | None:
        """URL that every tick requests at its end; None requests none. A secret: never logged."""
        return self.get("HEARTBEAT_URL") or None

    def allows(self, url: str) -> bool:
        """Return True if requests may go to `url`.

        Allowed are the origins of the webhook and the heartbeat, and the entries of
        `HTTP_ALLOWED_HOSTS`, separated by commas: a host name (HTTPS, any path), `*.` and a domain
        for all hosts below it, or a whole origin such as `http://127.0.0.1:8080`.

        >>> settings = Settings({"HTTP_ALLOWED_HOSTS": "api.example.com, *.push.example"}.get)
        >>> settings.allows("https://api.example.com/v1"), settings.allows("https://example.com/")
        (True, False)
        >>> settings.allows("https://a.push.example/"), settings.allows("http://api.example.com/")
        (True, False)
        """
        origin = origin_of(url)
        if origin is None:
            return False
        own = [origin_of(address or "") for address in (self.alert_webhook_url, self.heartbeat_url)]
        entries = [entry.strip() for entry in (self.get("HTTP_ALLOWED_HOSTS") or "").split(",")]
        return origin in own or any(_covers(entry.lower(), origin) for entry in entries if entry)


def origin_of(url: str) -> str | None:
    """Return scheme, host and port of an HTTP URL; None if it is not a plain HTTP URL.

    >>> origin_of("HTTPS://API.example.com:443/v1?x=1"), origin_of("https://a@b/"), origin_of("x")
    ('https://api.example.com', None, None)
    """
    match = _URL.fullmatch(url)
    if match is None:
        return None
    scheme, host, port = match["scheme"].lower(), match["host"].lower(), match["port"] or ""
    return f"{scheme}://{host}{'' if port == _DEFAULT_PORTS[scheme] else port}"


_DEFAULT_PORTS = {"https": ":443", "http": ":80"}


def _covers(entry: str, origin: str) -> bool:
    if "://" in entry:
        return origin_of(entry) == origin
    if entry.startswith("*."):
        return origin.startswith("https://") and origin.endswith(entry[1:])
    return origin == f"https://{entry}"
