"""Parts of a message that are not its content: the URL for reports, and segments."""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import pytest

from shared.ports import HttpResponse
from tests.fakes import FakeHttp
from tests.workers.delivery.stage import Stage


class TwilioApi(FakeHttp):
    async def respond(self, method: str, url: str) -> HttpResponse:
        return HttpResponse(201, {}, b'{"sid": "SM1"}')


def twilio(stage: Stage) -> UUID:
    stage.outside.secrets |= {"DELIVERY_MODE": "live", "HTTP_ALLOWED_HOSTS": "api.twilio.com"}
    stage.outside.http = TwilioApi()
    stage.organization()
    stage.contact(1, custom_fields={"_consent_preferences": {"sms": True}})
    secrets = {"accountSid": "AC1", "authToken": "t", "fromNumber": "+15005550006"}
    return stage.config(provider_type="twilio", channel="sms", secrets=secrets)


def sms(stage: Stage, text: str, **columns: Any) -> UUID:
    return stage.message(1, channel="sms", content={"text": text}, **columns)


def test_a_text_message_names_the_url_for_its_reports(stage: Stage) -> None:
    """The one that the worker for hooks verifies, and from which the adapter reads the message."""
    config = twilio(stage)
    stage.outside.secrets["HOOK_KEYS"] = "new,old"
    message = sms(stage, "Hello")
    stage.send(message, channel="sms")
    assert stage.state(message)[0] == "sent"
    form = dict(parse_qsl(stage.outside.http.requests[0][3].decode()))
    token = hmac.new(b"new", str(config).encode(), "sha256").hexdigest()
    assert form["StatusCallback"] == (
        f"https://hooks.example/hooks/twilio/{config}/{token}/{message}"
    )


@pytest.mark.parametrize("message_class", ["marketing", "transactional"])
def test_without_keys_only_a_transactional_text_message_goes(
    message_class: str, stage: Stage
) -> None:
    twilio(stage)
    message = sms(stage, "Hello", **{"class": message_class})
    stage.send(message, channel="sms")
    if message_class == "marketing":
        assert stage.state(message) == ("deferred", "not_configured")
        assert stage.outside.named("delivery.not_configured")[0]["reason"] == "HOOK_KEYS"
    else:
        assert stage.state(message)[0] == "sent"
        assert b"StatusCallback" not in stage.outside.http.requests[0][3]


def test_the_event_of_a_text_message_has_its_segments(stage: Stage) -> None:
    """161 characters of the alphabet of telephones are two."""
    twilio(stage)
    stage.outside.secrets["HOOK_KEYS"] = "new"
    stage.send(sms(stage, "a" * 161), channel="sms")
    [row] = stage.db.rows("select event_data from analytics.contact_activity")
    assert row["event_data"]["segments"] == 2


def test_whom_answers_go_to_keeps_its_name(stage: Stage) -> None:
    stage.organization()
    stage.contact(1)
    content = {"subject": "Hi", "text": "Body", "reply_to": "Help of Acme <help@acme.example>"}
    stage.send(stage.message(1, content=content))
    [kept] = [own for key, own in stage.captured.items() if "/calls/" not in key]
    assert kept["headers"]["Reply-To"] == "Help of Acme <help@acme.example>"


def test_a_message_may_change_the_name_of_its_sender(stage: Stage) -> None:
    stage.organization(from_address="Acme <news@acme.example>")
    stage.contact()
    content = {"subject": "s", "text": "t", "from_name": "Jane of Acme"}
    message = stage.message(1, content=content)
    stage.send(message)
    [kept] = [own for key, own in stage.captured.items() if key.endswith(str(message))]
    assert kept["headers"]["From"] == "Jane of Acme <news@acme.example>"
