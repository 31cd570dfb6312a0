"""Twilio: its SDK's requests, and its validator of webhooks, are the oracle."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from delivery.domain.outgoing import OutgoingSms
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import BadSignature, CannotSend, Webhook
from delivery.providers.twilio import Twilio
from tests.workers.delivery.providers.support import (
    NOW,
    answer,
    captured,
    events_of,
    form,
    request_of,
    same_headers,
    texts_to_phones,
)

TWILIO = Twilio()
SID = "AC" + "0" * 32
SECRETS = {"accountSid": SID, "authToken": "token", "fromNumber": "+15005550006"}
CLIENT = Client(SID, "token")
SMS = OutgoingSms("m-1", "marketing", "+15005550001", "Hello")


@pytest.mark.parametrize("service", ["", "MG" + "1" * 32])
@given(texts_to_phones)
def test_a_message_is_the_request_of_the_sdk(service: str, message: OutgoingSms) -> None:
    sender = {"messaging_service_sid": service} if service else {"from_": "+15005550006"}
    callback = {"status_callback": message.status_callback} if message.status_callback else {}
    with captured({"sid": "SM1"}, 201) as sent:
        CLIENT.messages.create(to=message.to, body=message.text, **sender, **callback)
    ours = request_of(TWILIO, [message], SECRETS | {"messagingServiceSid": service})
    assert (ours.method, ours.url) == (sent.only.method, sent.only.url)
    same_headers(ours, sent.only.headers, ["accept-charset", "x-twilio-client"])
    body = sent.only.body
    assert isinstance(body, str | bytes)
    assert form(ours.body) == form(body)


@pytest.mark.parametrize("sid", ["", "AC1/../x", "AC1?x", ".."])
def test_an_account_that_is_no_name_is_refused(sid: str) -> None:
    with pytest.raises(CannotSend) as refused:
        request_of(TWILIO, [SMS], SECRETS | {"accountSid": sid})
    assert refused.value.verdict == Verdict("pause", "config_account_sid")


# From the contract: code, status, verdict, reason of the suppression.
ERRORS = [
    (21610, 400, "suppress", "unsubscribe"),
    (21211, 400, "suppress", "invalid"),
    (21214, 400, "suppress", "invalid"),
    (21217, 400, "suppress", "invalid"),
    (21614, 400, "suppress", "invalid"),
    (21408, 400, "refused", None),
    (21612, 400, "refused", None),
    (21606, 400, "pause", None),
    (21603, 400, "pause", None),
    (21659, 400, "pause", None),
    (20003, 401, "pause", None),
    (20429, 429, "defer", None),
    (14107, 429, "defer", None),
    (99999, 400, "unknown", None),
    (99999, 429, "defer", None),
    (99999, 500, "unknown", None),
    (99999, 503, "retry", None),
]


@pytest.mark.parametrize(("code", "status", "kind", "suppression"), ERRORS)
def test_an_error_has_its_verdict(
    code: int, status: int, kind: str, suppression: str | None
) -> None:
    body = {"code": code, "message": "about +15005550001", "status": status}
    [verdict] = TWILIO.verdicts([SMS], answer(status, body), NOW)
    assert (verdict.kind, verdict.suppression, verdict.code) == (kind, suppression, str(code))
    assert "+1500" not in repr(verdict)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (201, {"sid": "SM1"}, Verdict("accepted", provider_message_id="SM1")),
        (201, {}, Verdict("unknown")),
        (201, b"<html>", Verdict("unknown")),
        (200, {"sid": "SM1"}, Verdict("unknown", "200")),
        (400, b"", Verdict("unknown", "400")),
        (403, b"", Verdict("pause", "403")),
    ],
)
def test_an_answer_has_its_verdict(status: int, body: Any, expected: Verdict) -> None:
    assert TWILIO.verdicts([SMS], answer(status, body), NOW) == [expected]


def test_a_limit_ends_when_retry_after_says_so() -> None:
    [verdict] = TWILIO.verdicts([SMS], answer(429, {"code": 20429}, retry_after="3"), NOW)
    assert verdict.until == NOW + timedelta(seconds=3)


# Webhooks.

URL = "https://hooks.example/hooks/twilio/c-1/token/m-1"


def webhook(fields: dict[str, str], url: str = URL, signed_url: str = "") -> Webhook:
    """A webhook that Twilio's own validator accepts."""
    validator = RequestValidator("token")
    signature = validator.compute_signature(signed_url or url, fields)
    assert validator.validate(url, fields, signature)
    headers = {"x-twilio-signature": signature}
    return Webhook(url, headers, urlencode(fields).encode(), NOW)


def status(name: str, **fields: str) -> dict[str, str]:
    return {
        "MessageSid": "SM1",
        "MessageStatus": name,
        "To": "+15005550001",
        "ApiVersion": "",
        **fields,
    }


@pytest.mark.parametrize(
    ("fields", "kind", "suppression"),
    [
        (status("sent"), "accepted", None),
        (status("delivered"), "delivered", None),
        (status("undelivered", ErrorCode="30003"), "bounced", None),
        (status("undelivered", ErrorCode="30005"), "bounced", "invalid"),
        (status("undelivered", ErrorCode="30006"), "bounced", "invalid"),
        (status("failed", ErrorCode="30008"), "failed", None),
        (status("failed", ErrorCode="30006"), "failed", "invalid"),
    ],
)
def test_a_status_has_its_meaning(
    fields: dict[str, str], kind: str, suppression: str | None
) -> None:
    [event] = events_of(TWILIO, webhook(fields), SECRETS)
    assert (event.kind, event.suppression) == (kind, suppression)
    assert event.is_hard is (suppression is not None)
    assert event.event_id == f"tw:SM1:{fields['MessageStatus']}"
    assert (event.message_id, event.provider_message_id) == ("m-1", "SM1")
    assert event.occurred_at == NOW


@pytest.mark.parametrize(
    "fields",
    [
        status("queued"),
        status("sending"),
        {"SmsStatus": "received", "Body": "Hello", "From": "+1"},
        {"SmsStatus": "received", "Body": "Stop it", "From": "+1"},
        {"SmsStatus": "received", "OptOutType": "START", "Body": "START", "From": "+1"},
        {"SmsStatus": "received", "Body": "STOP", "From": ""},
        {"SmsStatus": "received", "Body": "STOP", "From": "12345"},
        {"SmsStatus": "received", "Body": "STOP", "From": "+1" + "5" * 3_000},
    ],
)
def test_another_webhook_changes_nothing(fields: dict[str, str]) -> None:
    assert events_of(TWILIO, webhook(fields), SECRETS) == []


@pytest.mark.parametrize("fields", [{"Body": " stop "}, {"Body": "Stop", "OptOutType": "STOP"}])
def test_a_reply_with_stop_is_an_unsubscribe_of_its_number(fields: dict[str, str]) -> None:
    received = {"SmsStatus": "received", "MessageSid": "SM9", "From": "+15005550001", **fields}
    [event] = events_of(TWILIO, webhook(received, URL.removesuffix("/m-1")), SECRETS)
    assert (event.kind, event.suppression) == ("unsubscribed", "unsubscribe")
    assert (event.event_id, event.address) == ("tw:SM9:received", "+15005550001")
    assert event.message_id is None
    assert "+1500" not in repr(event)


def test_the_port_of_the_url_may_be_signed() -> None:
    signed = "https://hooks.example:443/hooks/twilio/c-1/token/m-1"
    assert len(events_of(TWILIO, webhook(status("sent"), URL, signed), SECRETS)) == 1
    assert len(events_of(TWILIO, webhook(status("sent"), signed, URL), SECRETS)) == 1


@pytest.mark.parametrize(
    ("path", "message_id"),
    [
        ("/hooks/twilio/c-1/token/m-1", "m-1"),
        ("/prefix/hooks/twilio/c-1/token/m-1", "m-1"),
        ("/hooks/twilio/c-1/token", None),
        ("/hooks/twilio/c-1/token/", None),
    ],
)
def test_the_path_has_our_id(path: str, message_id: str | None) -> None:
    [event] = events_of(TWILIO, webhook(status("sent"), f"https://hooks.example{path}"), SECRETS)
    assert event.message_id == message_id


def test_without_a_token_no_signature_is_right() -> None:
    fields = status("sent")
    headers = {"x-twilio-signature": RequestValidator("").compute_signature(URL, fields)}
    unsigned = Webhook(URL, headers, urlencode(fields).encode(), NOW)
    with pytest.raises(BadSignature):
        events_of(TWILIO, unsigned, {"accountSid": SID})


@pytest.mark.parametrize("change", ["body", "url", "none", "token", "no token"])
def test_a_wrong_signature_is_refused(change: str) -> None:
    good = webhook(status("delivered"))
    url, headers, body, secrets = good.url, dict(good.headers), good.body, dict(SECRETS)
    if change == "body":
        body += b"&X=1"
    elif change == "url":
        url += "x"
    elif change == "none":
        headers = {}
    elif change == "token":
        secrets["authToken"] = "other"
    else:
        del secrets["authToken"]
    with pytest.raises(BadSignature):
        events_of(TWILIO, Webhook(url, headers, body, NOW), secrets)
