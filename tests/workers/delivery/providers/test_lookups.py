"""Look-ups: requests as the SDKs make them; evidence is our id, or exactly one equal SMS."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from mailgun.client import Client as MailgunClient
from postmarker.core import PostmarkClient
from twilio.rest import Client as TwilioClient

from delivery.providers.adapter import HasLookup, HttpRequest, LookedUp, Sought
from delivery.providers.mailgun import Mailgun
from delivery.providers.postmark import Postmark
from delivery.providers.registry import ADAPTERS
from delivery.providers.twilio import Twilio
from tests.workers.delivery.providers.support import NOW, answer, captured, same_headers

SID = "AC" + "0" * 32
SMS = Sought("m-1", "+15005550001", NOW, "Hello & bye")
MAIL = Sought("m-1", "jane+x@mail.example", NOW)
TWILIO_SECRETS = {"accountSid": SID, "authToken": "token", "fromNumber": "+1"}
MAILGUN_SECRETS = {"apiKey": "key-1", "domain": "mg.acme.example"}
POSTMARK_SECRETS = {"serverToken": "pm-token"}


def test_these_providers_have_a_look_up() -> None:
    assert {name for name, adapter in ADAPTERS.items() if isinstance(adapter, HasLookup)} >= {
        "mailgun",
        "postmark",
        "twilio",
    }


def query(url: str | None) -> tuple[str, list[tuple[str, str]]]:
    assert url
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}", sorted(parse_qsl(parts.query))


def same(ours: HttpRequest, theirs: Any, *ignored: str) -> None:
    assert (ours.method, ours.body) == (theirs.method.upper(), b"")
    assert query(ours.url) == query(theirs.url)
    own = ["content-type", *ignored]
    same_headers(ours, {n: v for n, v in theirs.headers.items() if n.lower() not in own})


def test_twilio_is_asked_as_its_sdk_asks() -> None:
    with captured({"messages": []}) as sent:
        TwilioClient(SID, "token").messages.list(
            to=SMS.to, date_sent_after=(NOW - timedelta(days=1)).date(), page_size=200
        )
    ours = Twilio().lookup_request(SMS, TWILIO_SECRETS)
    same(ours, sent.only, "accept-charset", "x-twilio-client")


def test_mailgun_is_asked_as_its_sdk_asks() -> None:
    filters = {
        "begin": int(NOW.timestamp()) - 60,
        "ascending": "yes",
        "limit": 25,
        "user-variables": '{"message_id":"m-1"}',
    }
    with captured({"items": []}) as sent, MailgunClient(auth=("api", "key-1")) as client:
        client.events.get(domain="mg.acme.example", filters=filters)
    same(Mailgun().lookup_request(MAIL, MAILGUN_SECRETS), sent.only)


def test_postmark_is_asked_as_its_sdk_asks() -> None:
    with captured({"TotalCount": 0, "Messages": []}) as sent:
        PostmarkClient(server_token="pm-token").messages.outbound.all(
            count=50, offset=0, recipient=MAIL.to, fromdate="2026-02-28"
        )
    same(Postmark().lookup_request(MAIL, POSTMARK_SECRETS), sent.only)


def sms(**fields: str) -> dict[str, str]:
    return {
        "sid": "SM1",
        "to": SMS.to,
        "body": SMS.text,
        "direction": "outbound-api",
        "date_created": "Sun, 01 Mar 2026 12:30:20 +0000",
        **fields,
    }


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([sms()], "SM1"),
        ([sms(body="Other", sid="SM2"), sms()], "SM1"),
        ([sms(status="undelivered")], "SM1"),
        ([sms(), sms(sid="SM2")], None),  # either may be ours
        ([sms(to="+15005550002")], None),
        ([sms(direction="inbound")], None),
        ([sms(date_created="Sun, 01 Mar 2026 12:00:00 +0000")], None),
        ([sms(date_created="Sun, 01 Mar 2026 12:40:00 +0000")], None),
        ([sms(date_created="")], None),
        ([sms(sid="")], None),
        ([], None),
        (["text"], None),
    ],
)
def test_exactly_one_equal_sms_is_evidence(records: list[Any], found: str | None) -> None:
    response = answer(200, {"messages": records})
    assert Twilio().looked_up(SMS, response, TWILIO_SECRETS) == LookedUp(found)


def event(**fields: Any) -> dict[str, Any]:
    return {
        "event": "accepted",
        "user-variables": {"message_id": "m-1"},
        "message": {"headers": {"message-id": "mg1@mg"}},
        **fields,
    }


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([event()], "mg1@mg"),
        ([event(**{"user-variables": {"message_id": "m-2"}}), event(event="failed")], "mg1@mg"),
        ([event(event="rejected")], None),
        ([event(**{"user-variables": {"message_id": "m-2"}})], None),
        ([event(**{"user-variables": {}})], None),
        ([], None),
        (["text"], None),
    ],
)
def test_an_event_with_our_id_is_evidence(records: list[Any], found: str | None) -> None:
    response = answer(200, {"items": records})
    assert Mailgun().looked_up(MAIL, response, MAILGUN_SECRETS) == LookedUp(found)


def listed(**fields: Any) -> dict[str, Any]:
    return {"MessageID": "pm-1", "Status": "Sent", **fields}


def of_postmark(body: Any) -> tuple[str | None, list[str]]:
    found = Postmark().looked_up(MAIL, answer(200, body), POSTMARK_SECRETS)
    return found.provider_message_id, [request.url for request in found.further]


def test_a_list_of_postmark_is_read_and_its_details_where_it_has_no_metadata() -> None:
    details = "https://api.postmarkapp.com/messages/outbound/pm-1/details"
    own = listed(Metadata={"message_id": "m-1"})
    assert of_postmark({"Messages": [own]}) == ("pm-1", [])
    assert of_postmark({"Messages": [listed(Metadata={"message_id": "m-2"})]}) == (None, [])
    assert of_postmark({"Messages": [listed(), listed(MessageID="")]}) == (None, [details])
    assert of_postmark(own) == ("pm-1", [])  # the details
    assert of_postmark({"Messages": []}) == (None, [])
    assert of_postmark([]) == (None, [])


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_a_failed_look_up_proves_nothing(status: int) -> None:
    for adapter, secrets in (
        (Twilio(), TWILIO_SECRETS),
        (Mailgun(), MAILGUN_SECRETS),
        (Postmark(), POSTMARK_SECRETS),
    ):
        body = {"messages": [sms()], "items": [event()], "Messages": [listed()]}
        assert adapter.looked_up(SMS, answer(status, body), secrets) == LookedUp()
