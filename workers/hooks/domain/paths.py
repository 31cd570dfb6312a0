"""The paths that the worker knows, each in one spelling. Every other is a 404."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

URL_CHARS_MAX = 2_000  # as the queue message has it

_ORIGIN = r"https?://[^/?#]+"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# The URL of a webhook may have a query, because a signature covers it.
_HOOK = re.compile(
    rf"{_ORIGIN}/hooks/(?P<provider>[a-z]{{1,32}})/(?P<config>{_UUID})/(?P<token>[0-9a-f]{{64}})"
    rf"(?:/{_UUID})?(?:\?[!-~]*)?",
    re.ASCII,
)
_UNSUBSCRIBE = re.compile(rf"{_ORIGIN}/u/(?P<token>[A-Za-z0-9_-]{{86}})(?:\?[!-~]*)?", re.ASCII)


@dataclass(frozen=True, repr=False)
class HookPath:
    """A webhook of a provider config. `token` is not verified yet."""

    provider: str
    config_id: UUID
    token: str


@dataclass(frozen=True, repr=False)
class UnsubscribePath:
    """The link of an e-mail. `token` is not verified yet."""

    token: str


def parse(url: str) -> HookPath | UnsubscribePath | None:
    """Return what a URL means; None for every other URL."""
    if len(url) > URL_CHARS_MAX:
        return None
    if hook := _HOOK.fullmatch(url):
        return HookPath(hook["provider"], UUID(hook["config"]), hook["token"])
    if link := _UNSUBSCRIBE.fullmatch(url):
        return UnsubscribePath(link["token"])
    return None
