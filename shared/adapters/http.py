"""Outgoing HTTP over the runtime's fetch, within the limits of the port."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Protocol, get_args

from shared.errors import HttpFailed, HttpRefused
from shared.ports import (
    HTTP_REQUEST_BYTES_MAX,
    HTTP_RESPONSE_BYTES_MAX,
    HTTP_TIMEOUT_S,
    HttpMethod,
    HttpResponse,
)
from shared.settings import Settings

TIMEOUT_MAX_S = 60
URL_CHARS_MAX = 8_192
# The runtime's own timer ends the request. This timer ends it later, if that one did not.
MARGIN_S = 1.0

# The local runtime's error for a host that is not on this machine: nothing was sent.
OUTBOUND_REFUSED = "OutboundRefused"

METHODS = get_args(HttpMethod)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}", re.ASCII)
_HEADER_VALUE = re.compile(r"[ -~]{0,8192}", re.ASCII)


class Fetch(Protocol):
    """The runtime's fetch, without redirects and with a limit on the response's body."""

    async def fetch(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        bytes_max: int,
    ) -> HttpResponse:
        """Return the response. Raises any exception of the runtime."""


class FetchHttp:
    """An Http port. `settings` decides which hosts it may reach."""

    def __init__(self, settings: Settings, fetch: Fetch) -> None:
        self._settings, self._fetch = settings, fetch

    async def request(
        self,
        method: HttpMethod,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = HTTP_TIMEOUT_S,
    ) -> HttpResponse:
        check(method, url, headers or {}, body, timeout_s, self._settings)
        try:
            async with asyncio.timeout(timeout_s + MARGIN_S):
                return await self._fetch.fetch(
                    method, url, headers or {}, body, timeout_s, HTTP_RESPONSE_BYTES_MAX
                )
        except TimeoutError as error:
            raise HttpFailed(f"no complete response in {timeout_s:g} s", begun=True) from error
        # A JsException, whose class the host does not have. Its text may contain the URL, and the
        # runtime does not prove that nothing was sent.
        except Exception as error:
            if getattr(error, "name", None) == OUTBOUND_REFUSED:
                raise HttpRefused("the local runtime does not call this host") from error
            raise HttpFailed("the connection failed, or timed out", begun=True) from error


def check(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    timeout_s: float,
    settings: Settings,
) -> None:
    """Raise HttpRefused if the request may not be sent. The text does not contain the URL."""
    if method not in METHODS:
        raise HttpRefused(f"the method is none of {', '.join(METHODS)}")
    if len(url) > URL_CHARS_MAX or not settings.allows(url):
        raise HttpRefused("the settings do not allow this URL: see HTTP_ALLOWED_HOSTS")
    if body and method in ("GET", "HEAD"):
        raise HttpRefused(f"a {method} request has no body")
    if len(body) > HTTP_REQUEST_BYTES_MAX:
        raise HttpRefused(f"a body has at most {HTTP_REQUEST_BYTES_MAX} bytes, not {len(body)}")
    if not 0 < timeout_s <= TIMEOUT_MAX_S:
        raise HttpRefused(f"a request may take up to {TIMEOUT_MAX_S} s")
    for name, value in headers.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
            raise HttpRefused("a header's name or value is invalid")
