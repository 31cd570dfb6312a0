"""A request to the vendor with limits on size, total time and destination."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from mauntic.database.url import LOOPBACK_HOSTS
from mauntic.errors import OperatorError

ANSWER_BYTES_MAX = 8_000_000
Value = TypeVar("Value")


class TooLarge(Exception):
    """The response exceeds the size limit."""


class TooSlow(Exception):
    """The response did not end in time, although bytes may still arrive."""


def client(base_url: str, account: str, token: str, timeout_s: float) -> httpx.Client:
    """Return a client that sends the token only over TLS, or to loopback without a proxy."""
    return httpx.Client(
        base_url=f"{_safe(base_url)}/accounts/{account}",
        headers={"authorization": f"Bearer {token}", "user-agent": "mauntic"},
        timeout=timeout_s,
        trust_env=not _is_here(base_url),
        follow_redirects=False,
    )


def _safe(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
        is_safe = url.scheme == "https" or (url.scheme == "http" and _is_here(base_url))
    except httpx.InvalidURL:
        is_safe = False
    if not is_safe:
        raise OperatorError("CLOUDFLARE_API_BASE_URL must begin with https://: it gets the token.")
    return base_url.rstrip("/")


def _is_here(base_url: str) -> bool:
    return httpx.URL(base_url).host in LOOPBACK_HOSTS


def fetch(
    http: httpx.Client, within_s: float, method: str, path: str, **parts: Any
) -> httpx.Response:
    """Return the whole response; raise TooLarge or TooSlow at a limit."""

    def request() -> httpx.Response:
        with http.stream(method, path, **parts) as answer:
            content = bytearray()
            for chunk in answer.iter_bytes(65_536):
                content += chunk
                if len(content) > ANSWER_BYTES_MAX:
                    raise TooLarge
            headers = [pair for pair in answer.headers.multi_items() if pair[0] not in FRAMING]
            return httpx.Response(answer.status_code, headers=headers, content=bytes(content))

    return within(within_s, request)


FRAMING = {
    "content-encoding",
    "content-length",
    "transfer-encoding",
}  # headers that no longer apply to the decoded body


def within(seconds: float, work: Callable[[], Value]) -> Value:
    """Run the work; raise TooSlow if it does not end in time. Its thread is abandoned."""
    ended: list[Callable[[], Value]] = []

    def run() -> None:
        try:
            value = work()
        except BaseException as error:
            ended.append(_raising(error))
        else:
            ended.append(lambda: value)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not ended:
        raise TooSlow
    return ended[0]()


def _raising(error: BaseException) -> Callable[[], Any]:
    def again() -> Any:
        raise error

    return again
