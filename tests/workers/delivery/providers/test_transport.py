"""A call that fails before or on its way has a verdict for each of its messages."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from delivery.domain.verdict import Verdict
from delivery.providers.adapter import HttpRequest, Request
from delivery.providers.capture_format import captured_call, to_json
from delivery.providers.postmark import Postmark
from delivery.providers.registry import ADAPTERS
from delivery.providers.secrets import snake_case
from delivery.providers.transport import perform, prepared, verdicts_of
from delivery.providers.webpush import WebPush
from shared.errors import HttpFailed
from shared.ports import HttpResponse
from shared.settings import Settings
from tests.fakes import FakeHttp
from tests.workers.delivery.providers.support import CALL_ID, CRYPTO, NOW, answer, email, several
from tests.workers.delivery.providers.test_twilio import SMS
from tests.workers.delivery.providers.test_webpush import SECRETS, push

ALLOWED = Settings({"HTTP_ALLOWED_HOSTS": "api.postmarkapp.com"}.get)
REQUEST = HttpRequest("POST", "https://api.postmarkapp.com/email", {"A": "b"}, b"{}")


class Broken(FakeHttp):
    """A network that fails, before or after the request has begun."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__()
        self.settings, self._begun = ALLOWED, begun

    async def request(self, *arguments: object, **options: object) -> HttpResponse:
        raise HttpFailed("the connection failed", begun=self._begun)


def sent(request: Request, http: FakeHttp) -> HttpResponse | Verdict:
    return asyncio.run(perform(request, http, None))


def test_a_response_is_read_by_the_adapter() -> None:
    http = FakeHttp()
    http.settings, http.body = ALLOWED, answer(200, {"ErrorCode": 0, "MessageID": "m"}).body
    outcome = sent(REQUEST, http)
    assert http.requests == [("POST", REQUEST.url, {"A": "b"}, b"{}")]
    assert verdicts_of(Postmark(), [email()], outcome, NOW) == [
        Verdict("accepted", provider_message_id="m")
    ]


@pytest.mark.parametrize(
    ("http", "kind"),
    [
        (Broken(begun=True), "unknown"),
        (Broken(begun=False), "retry"),
        (FakeHttp(), "pause"),  # its settings allow no host
    ],
)
def test_a_failure_concerns_every_message(http: FakeHttp, kind: str) -> None:
    verdicts = verdicts_of(Postmark(), several(3), sent(REQUEST, http), NOW)
    assert [verdict.kind for verdict in verdicts] == [kind] * 3


def test_a_request_that_cannot_be_made_is_a_verdict() -> None:
    found = asyncio.run(prepared(Postmark(), [email()], {}, CALL_ID, NOW, CRYPTO))
    assert found == Verdict("pause", "config_server_token")


def test_a_body_that_no_call_can_carry_is_refused() -> None:
    http = FakeHttp()
    http.settings = ALLOWED
    large = HttpRequest("POST", REQUEST.url, {}, b"x" * 8_000_001)
    assert sent(large, http) == Verdict("refused", "too_large")
    assert http.requests == []


# Each secret of every configuration is this word, as far as its form permits.
SECRET = "s3cr3t"
CONFIGS: dict[str, dict[str, Any]] = {
    "ses": {"region": "eu-west-1", "accessKeyId": SECRET, "secretAccessKey": SECRET,
            "configurationSet": "c"},
    "sendgrid": {"apiKey": SECRET},
    "postmark": {"serverToken": SECRET},
    "resend": {"apiKey": SECRET},
    "mailgun": {"apiKey": SECRET, "domain": "mg.acme.example"},
    "twilio": {"accountSid": "AC1", "authToken": SECRET, "fromNumber": "+1"},
    "fcm": {"projectId": "p", "accessToken": SECRET},
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_a_captured_request_shows_no_secret(name: str) -> None:
    message: Any = {"twilio": SMS, "fcm": push()}.get(name, email())
    config = CONFIGS[name]
    request = asyncio.run(prepared(ADAPTERS[name], [message], config, CALL_ID, NOW, CRYPTO))
    assert isinstance(request, HttpRequest)
    secret = [
        SECRET,
        *(base64.b64encode(f"{u}:{SECRET}".encode()).decode() for u in ("api", "AC1")),
    ]
    values = "".join(request.headers.values())
    assert any(form in values for form in secret) or name == "ses"  # SES has a signature
    call = captured_call(
        request, call_id=CALL_ID, organization_id="o", created_at=NOW, provider_type=name,
        message_ids=[message.message_id],
    )  # fmt: skip
    shown = to_json(call)
    assert request.url in shown
    assert not any(form in shown for form in secret)
    assert request.headers.get("Authorization", "none") not in shown


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_in_snake_case_makes_the_same_request(name: str) -> None:
    message: Any = {"twilio": SMS, "fcm": push()}.get(name, email())
    both = [CONFIGS[name], {snake_case(key): value for key, value in CONFIGS[name].items()}]
    camel, snake = (
        asyncio.run(prepared(ADAPTERS[name], [message], config, CALL_ID, NOW, CRYPTO))
        for config in both
    )
    assert isinstance(camel, HttpRequest)
    assert isinstance(snake, HttpRequest)
    assert vars(camel) == vars(snake)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_without_a_secret_pauses_and_names_it(name: str) -> None:
    message: Any = {"twilio": SMS, "fcm": push()}.get(name, email())
    for key in CONFIGS[name]:
        config = {n: value for n, value in CONFIGS[name].items() if n != key}
        found = asyncio.run(prepared(ADAPTERS[name], [message], config, CALL_ID, NOW, CRYPTO))
        assert found == Verdict("pause", f"config_{snake_case(key)}")


def test_a_request_never_shows_its_content() -> None:
    assert "api.postmarkapp" not in repr(REQUEST)
    assert "jane" not in repr(email())


def test_a_wrong_key_pauses_the_configuration() -> None:
    from tests.workers.delivery.providers.test_webpush import push

    other = SECRETS | {"vapidPrivateKey": "A" * 43}
    found = asyncio.run(prepared(WebPush(), [push()], other, CALL_ID, NOW, CRYPTO))
    assert found == Verdict("pause", "config_key")
