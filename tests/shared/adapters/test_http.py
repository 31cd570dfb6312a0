"""Limits of outgoing requests, and which hosts they may reach."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from shared.adapters.http import FetchHttp
from shared.errors import HttpFailed, HttpRefused
from shared.ports import HttpResponse
from shared.settings import Settings, origin_of

ALLOWED = "api.example.com, *.push.example, http://127.0.0.1:8080"


class Runtime:
    """A fetch that counts its calls and behaves as the test sets."""

    def __init__(self, error: Exception | None = None, wait_s: float = 0) -> None:
        self.error, self.wait_s, self.calls = error, wait_s, 0

    async def fetch(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        bytes_max: int,
    ) -> HttpResponse:
        self.calls += 1
        await asyncio.sleep(self.wait_s)
        if self.error:
            raise self.error
        return HttpResponse(200, {}, body)


def request(runtime: Runtime, method: Any = "POST", url: str = "", **fields: Any) -> HttpResponse:
    http = FetchHttp(Settings({"HTTP_ALLOWED_HOSTS": ALLOWED}.get), runtime)
    return asyncio.run(http.request(method, url or "https://api.example.com/v1", **fields))


def test_an_allowed_request_is_sent() -> None:
    assert request(Runtime(), body=b"x").body == b"x"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "http://api.example.com/",
        "https://api.example.com.evil.example/",
        "https://api.example.com:8443/",
        "https://api.example.com@evil.example/",
        "https://evil.example\\@api.example.com/",
        "https://evil.example\\.push.example/",
        "https://push.example/",
        "https://a.push.example.evil.example/",
        "http://a.push.example/",
        "http://127.0.0.1/",
        "http://127.0.0.1:80801/",
        "https://[::1]/",
        "https://api.example.com/\r\nx",
        "https://api.example.com/a b",
        "https://\u0430pi.example.com/",
        "ftp://api.example.com/",
        "//api.example.com/",
        "https://api.example.com/" + "x" * 8_192,
    ],
)
def test_another_host_is_refused_before_anything_is_sent(url: str) -> None:
    runtime = Runtime()
    with pytest.raises(HttpRefused) as caught:
        request(runtime, url=url)
    assert runtime.calls == 0
    assert url not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "HTTPS://API.example.com:443/v1?x=1#y",
        "https://api.example.com",
        "https://a.b.push.example/send/abc",
        "http://127.0.0.1:8080/x",
    ],
)
def test_an_entry_covers_its_host(url: str) -> None:
    assert request(Runtime(), url=url).status == 200


def test_the_operators_own_addresses_are_allowed_as_whole_origins() -> None:
    values = {"ALERT_WEBHOOK_URL": "http://hooks.test:81/a", "HEARTBEAT_URL": "https://alive.test"}
    settings = Settings(values.get)
    assert settings.allows("http://hooks.test:81/b")
    assert settings.allows("https://alive.test/fail")
    assert not settings.allows("https://hooks.test:81/a")
    assert not Settings(lambda name: None).allows("https://alive.test/")


def test_an_origin_is_read_as_a_browser_reads_it() -> None:
    """Where the two could differ, the URL has no origin."""
    assert origin_of("https://a.example:0443/") == "https://a.example:0443"
    for url in ("https://a.example\t/", "https:/a.example", "https://", "https://a_b@c/"):
        assert origin_of(url) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "TRACE"},
        {"method": "get"},
        {"method": "GET", "body": b"x"},
        {"body": b"x" * 8_000_001},
        {"timeout_s": 0},
        {"timeout_s": 61},
        {"headers": {"a b": "x"}},
        {"headers": {"": "x"}},
        {"headers": {"a": "x\r\nb: y"}},
        {"headers": {"a": "é"}},
    ],
)
def test_a_request_beyond_a_limit_is_refused(fields: dict[str, Any]) -> None:
    runtime = Runtime()
    with pytest.raises(HttpRefused):
        request(runtime, **fields)
    assert runtime.calls == 0


def test_a_failure_may_have_begun_and_its_text_has_no_url() -> None:
    with pytest.raises(HttpFailed) as caught:
        request(Runtime(OSError("lost https://api.example.com/v1")))
    assert caught.value.begun
    assert "api.example.com" not in str(caught.value)


def test_a_runtime_whose_timer_does_not_end_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.adapters.http.MARGIN_S", 0.01)
    with pytest.raises(HttpFailed, match=r"in 0\.05 s") as caught:
        request(Runtime(wait_s=30), timeout_s=0.05)
    assert caught.value.begun
