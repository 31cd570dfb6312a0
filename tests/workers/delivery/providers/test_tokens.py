"""An access token is fetched once, kept until shortly before its end, and never shown."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta

import pytest

from delivery.domain.verdict import Verdict
from delivery.providers.adapter import Adapter, Secrets
from delivery.providers.fcm import Fcm
from delivery.providers.postmark import Postmark
from delivery.providers.tokens import Tokens
from shared.settings import Settings
from tests.fakes import FakeHttp
from tests.workers.delivery.providers.support import CRYPTO, NOW
from tests.workers.delivery.providers.test_fcm import SECRETS

ALLOWED = Settings({"HTTP_ALLOWED_HOSTS": "oauth2.googleapis.com"}.get)


@pytest.fixture
def http() -> FakeHttp:
    found = FakeHttp()
    found.settings = ALLOWED
    found.body = json.dumps({"access_token": "ya29", "expires_in": 3_600}).encode()
    return found


def fetch(
    tokens: Tokens,
    http: FakeHttp,
    now: datetime = NOW,
    secrets: Secrets = SECRETS,
    adapter: Adapter | None = None,
) -> Secrets | Verdict:
    return asyncio.run(tokens.with_token(adapter or Fcm(), secrets, http, now, CRYPTO))


def test_a_token_serves_until_a_minute_before_its_end(http: FakeHttp) -> None:
    tokens = Tokens()
    for minutes, requests in ((0, 1), (30, 1), (58, 1), (59, 2), (60, 2)):
        assert fetch(tokens, http, NOW + timedelta(minutes=minutes)) == {
            **SECRETS,
            "accessToken": "ya29",
        }
        assert len(http.requests) == requests
    assert "ya29" not in repr(tokens)


def test_another_configuration_has_another_token(http: FakeHttp) -> None:
    tokens = Tokens()
    fetch(tokens, http)
    fetch(tokens, http, secrets=SECRETS | {"projectId": "acme-2"})
    assert len(http.requests) == 2


def test_a_token_that_was_not_accepted_is_fetched_again(http: FakeHttp) -> None:
    tokens = Tokens()
    fetch(tokens, http)
    tokens.forget(Fcm(), SECRETS)
    fetch(tokens, http)
    assert len(http.requests) == 2


def test_an_adapter_without_tokens_keeps_its_secrets(http: FakeHttp) -> None:
    secrets = {"serverToken": "t"}
    assert fetch(Tokens(), http, secrets=secrets, adapter=Postmark()) == secrets
    assert http.requests == []


def test_no_token_is_a_verdict_and_kept_by_no_one(http: FakeHttp) -> None:
    tokens = Tokens()
    http.status = 503
    assert fetch(tokens, http) == Verdict("retry", "503")
    http.status = 200
    assert isinstance(fetch(tokens, http), dict)


def test_a_network_or_a_setting_that_fails_is_a_verdict(http: FakeHttp) -> None:
    class Lost(FakeHttp):
        async def respond(self, method: str, url: str) -> object:  # type: ignore[override]
            raise ConnectionResetError

    lost = Lost()
    lost.settings = ALLOWED
    assert fetch(Tokens(), lost) == Verdict("retry", "token")
    assert fetch(Tokens(), FakeHttp()) == Verdict("pause", "http_refused")
    bad = {**SECRETS, "serviceAccountKey": "{}"}
    assert fetch(Tokens(), http, secrets=bad) == Verdict("pause", "config_service_account_key")
