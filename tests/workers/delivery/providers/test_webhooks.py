"""A webhook is read with the requests that its provider needs, and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.providers.adapter import Adapter, BadSignature, ProviderEvent, Secrets, Webhook
from delivery.providers.bodies import basic
from delivery.providers.postmark import Postmark
from delivery.providers.registry import ADAPTERS
from delivery.providers.ses import Ses
from delivery.providers.webhooks import KEPT_MAX, Webhooks
from shared.errors import DependencyNotReady, HttpRefused
from shared.settings import Settings
from tests.fakes import FakeHttp
from tests.workers.delivery.providers import (
    test_mailgun,
    test_postmark,
    test_resend,
    test_sendgrid,
    test_sns,
)
from tests.workers.delivery.providers.support import CRYPTO, events_of
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
        envelope = notification(record("Send", "send"), SigningCertURL=url)
        assert len(read(webhooks, webhook(signed(envelope)), http)) == 1
        assert len(webhooks.certificates) <= KEPT_MAX


def test_other_providers_need_no_request(http: FakeHttp) -> None:
    received = test_postmark.webhook(test_postmark.record("Delivery"), basic("user", "pass"))
    events = read(Webhooks(), received, http, Postmark(), test_postmark.HOOK)
    assert [event.kind for event in events] == ["delivered"]
    assert http.requests == []


# Each makes a webhook that its provider could have signed, of a record like this envelope.
SIGNED: dict[str, tuple[Callable[[Any], Webhook], Secrets, Any]] = {
    "mailgun": (
        test_mailgun.webhook,
        test_mailgun.HOOK,
        test_mailgun.record(
            "failed", reason="bounce", severity="permanent", url="https://a.example"
        ),
    ),
    "postmark": (
        test_postmark.webhook,
        test_postmark.HOOK,
        test_postmark.record("Bounce", ID=1, Type="HardBounce", SuppressSending=True),
    ),
    "resend": (
        test_resend.webhook,
        test_resend.HOOK,
        test_resend.record("email.bounced", bounce={"type": "Permanent"}, click={}),
    ),
    "sendgrid": (
        lambda body: test_sendgrid.webhook([body, body]),
        test_sendgrid.HOOK,
        test_sendgrid.record("dropped", type="bounce", reason="Bounced Address"),
    ),
    "ses": (
        lambda body: webhook(signed(notification(body))),
        test_sns.SECRETS,
        record("Bounce", "bounce", bounceType="Permanent", feedbackId="f"),
    ),
}
KINDS = [
    *("bounce", "delivered", "click", "dropped", "unsubscribe", "email.sent", "email.clicked"),
    *("Bounce", "Click", "SubscriptionChange", "Open", "Subscription", "failed", "opened"),
]
JUNK = st.one_of(
    st.none(),
    st.sampled_from([0, -1, 10**18, 10**400, 1.5, float("inf"), float("nan"), True, [], {}]),
    st.sampled_from(KINDS),
    st.text(max_size=5),
)


@st.composite
def damaged(draw: st.DrawFn, value: Any) -> Any:
    """The record, with parts that are missing or of another form."""
    change = draw(st.sampled_from(["keep", "keep", "keep", "keep", "replace"]))
    if change == "replace":
        return draw(JUNK)
    if isinstance(value, dict):
        kept = {name: part for name, part in value.items() if draw(st.integers(0, 9))}
        return {name: draw(damaged(part)) for name, part in kept.items()}
    return value


@pytest.mark.parametrize("name", SIGNED)
@given(data=st.data())
@settings(max_examples=80)
def test_a_signed_record_of_any_form_is_read(name: str, data: st.DataObject) -> None:
    make, secrets, whole = SIGNED[name]
    received = make(data.draw(damaged(whole)))
    for event in events_of(ADAPTERS[name], received, secrets):
        assert event.event_id.partition(":")[0] in ("mg", "pm", "svix", "sg", "ses")
        assert event.occurred_at.tzinfo
        assert (event.suppression == "bounce") is (event.kind == "bounced" and event.is_hard)


@pytest.mark.parametrize("name", SIGNED)
def test_the_whole_record_is_a_hard_bounce(name: str) -> None:
    make, secrets, whole = SIGNED[name]
    events = events_of(ADAPTERS[name], make(whole), secrets)
    assert events
    assert all(event.kind == "bounced" and event.is_hard for event in events)
