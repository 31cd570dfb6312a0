"""A webhook is read with the requests that its provider needs, and no others."""

from __future__ import annotations

import asyncio

import pytest

from delivery.providers.adapter import Adapter, BadSignature, ProviderEvent, Secrets, Webhook
from delivery.providers.bodies import basic
from delivery.providers.postmark import Postmark
from delivery.providers.ses import Ses
from delivery.providers.webhooks import KEPT_MAX, Webhooks
from shared.errors import DependencyNotReady, HttpRefused
from shared.settings import Settings
from tests.fakes import FakeHttp
from tests.workers.delivery.providers import test_postmark
from tests.workers.delivery.providers.support import CRYPTO
from tests.workers.delivery.providers.test_sns import (
    CERTIFICATE,
    CERTIFICATE_URL,
    SUBSCRIBE_URL,
    SUBSCRIPTION,
    TOPIC,
    notification,
    record,
    signed,
    webhook,
)

SECRETS = {"topicArn": TOPIC}
SENT = webhook(signed(notification(record("Send", "send"))))


@pytest.fixture
def http() -> FakeHttp:
    found = FakeHttp()
    found.settings = Settings({"HTTP_ALLOWED_HOSTS": ",".join(Ses.hosts)}.get)
    found.body = CERTIFICATE.encode()
    return found


def read(
    webhooks: Webhooks,
    received: Webhook,
    http: FakeHttp,
    adapter: Adapter | None = None,
    secrets: Secrets = SECRETS,
) -> list[ProviderEvent]:
    return asyncio.run(webhooks.events(adapter or Ses(), received, secrets, http, CRYPTO))


def test_a_certificate_is_fetched_once(http: FakeHttp) -> None:
    webhooks = Webhooks()
    assert len(read(webhooks, SENT, http)) == len(read(webhooks, SENT, http)) == 1
    assert http.gets == [CERTIFICATE_URL]


def test_a_subscription_is_confirmed_after_its_signature(http: FakeHttp) -> None:
    assert read(Webhooks(), webhook(signed(SUBSCRIPTION)), http) == []
    assert http.gets == [CERTIFICATE_URL, SUBSCRIBE_URL]


def test_a_forged_subscription_is_not_confirmed(http: FakeHttp) -> None:
    forged = webhook({**signed(SUBSCRIPTION), "Token": "other"})
    with pytest.raises(BadSignature):
        read(Webhooks(), forged, http)
    assert http.gets == [CERTIFICATE_URL]


def test_nothing_is_fetched_from_a_foreign_host(http: FakeHttp) -> None:
    foreign = notification(record("Send", "send"), SigningCertURL="https://evil.example/a.pem")
    with pytest.raises(BadSignature):
        read(Webhooks(), webhook(signed(foreign)), http)
    assert http.requests == []


def test_a_host_that_fails_is_asked_again_later(http: FakeHttp) -> None:
    webhooks = Webhooks()
    http.status = 503
    with pytest.raises(DependencyNotReady, match="answered 503"):
        read(webhooks, SENT, http)
    http.status = 200
    assert len(read(webhooks, SENT, http)) == 1

    class Lost(FakeHttp):
        async def respond(self, method: str, url: str) -> object:  # type: ignore[override]
            raise ConnectionResetError

    lost = Lost()
    lost.settings = http.settings
    with pytest.raises(DependencyNotReady, match="did not answer"):
        read(Webhooks(), SENT, lost)


def test_a_host_that_the_settings_do_not_allow_is_an_error_of_the_configuration() -> None:
    with pytest.raises(HttpRefused):
        read(Webhooks(), SENT, FakeHttp())


def test_few_certificates_are_kept(http: FakeHttp) -> None:
    webhooks = Webhooks()
    for number in range(3 * KEPT_MAX):
        url = CERTIFICATE_URL.replace("0a1b", str(number))
        one = notification(record("Send", "send"), SigningCertURL=url)
        assert len(read(webhooks, webhook(signed(one)), http)) == 1
        assert len(webhooks.certificates) <= KEPT_MAX


def test_other_providers_need_no_request(http: FakeHttp) -> None:
    received = test_postmark.webhook(test_postmark.record("Delivery"), basic("user", "pass"))
    events = read(Webhooks(), received, http, Postmark(), test_postmark.HOOK)
    assert [event.kind for event in events] == ["delivered"]
    assert http.requests == []
