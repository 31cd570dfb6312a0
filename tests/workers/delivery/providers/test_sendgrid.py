"""SendGrid: the requests of its SDK, and its own verification of webhooks, are the oracle."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch
from urllib.request import Request

import pytest
import sendgrid
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from sendgrid.helpers.eventwebhook import EventWebhook
from sendgrid.helpers.mail import (
    Content,
    CustomArg,
    Header,
    Mail,
    Personalization,
    ReplyTo,
    SubscriptionTracking,
    Substitution,
    To,
    TrackingSettings,
)
from sendgrid.helpers.mail import From as Sender

from delivery.domain.outgoing import OutgoingEmail
from delivery.domain.rendered import Rendered, plain
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import BadSignature, Webhook
from delivery.providers.sendgrid import SUBSTITUTION_BYTES_MAX, SendGrid
from tests.workers.delivery.providers.support import (
    NOW,
    answer,
    calls,
    email,
    emails,
    events_of,
    request_of,
    same_headers,
    several,
)

SENDGRID = SendGrid()
SECRETS = {"apiKey": "SG.key"}


def sdk_request(mail: Mail) -> Request:
    """What the SDK sends."""
    kept: list[Request] = []

    def keep(self: object, opener: object, request: Request, timeout: object = None) -> Any:
        del self, opener, timeout
        kept.append(request)
        return type("Answer", (), {"getcode": lambda s: 202, "read": lambda s: b"", "info": dict})()

    with patch("python_http_client.client.Client._make_request", keep):
        sendgrid.SendGridAPIClient(SECRETS["apiKey"]).send(mail)
    return kept[0]


def mail(
    messages: Sequence[OutgoingEmail],
    html: str,
    text: str,
    substitutions: Sequence[dict[str, str]],
) -> Mail:
    """The same messages, built with the SDK."""
    first = messages[0]
    found = Mail()
    found.from_email = Sender(first.from_address, first.from_name or None)
    if first.reply_to:
        found.reply_to = ReplyTo(first.reply_to, first.reply_to_name or None)
    # The SDK refuses an empty content.
    for kind, value in (("text/plain", text), ("text/html", html)):
        if value:
            found.add_content(Content(kind, value))
    found.tracking_settings = TrackingSettings(
        subscription_tracking=SubscriptionTracking(enable=False)
    )
    for message, values in zip(messages, substitutions, strict=True):
        personalization = Personalization()
        personalization.add_to(To(message.to))
        personalization.subject = str(message.subject)
        own = {**message.headers, "X-Mauntic-Message": message.message_id}
        for name, value in own.items():
            personalization.add_header(Header(name, value))
        personalization.add_custom_arg(CustomArg("message_id", message.message_id))
        for name, value in values.items():
            personalization.add_substitution(Substitution(name, value))
        # Not `add_personalization`: it inserts at the front.
        found._personalizations.append(personalization)
    return found


@given(emails().filter(lambda message: str(message.subject)))
def test_a_message_is_the_request_of_the_sdk(message: OutgoingEmail) -> None:
    theirs = sdk_request(mail([message], str(message.html), str(message.text), [{}]))
    ours = request_of(SENDGRID, [message], SECRETS)
    assert (ours.method, ours.url) == (theirs.get_method(), theirs.full_url)
    same_headers(ours, dict(theirs.header_items()))
    assert isinstance(theirs.data, bytes)
    assert json.loads(ours.body) == json.loads(theirs.data)


@settings(max_examples=40)
@given(calls().filter(lambda messages: len(messages) > 1))
def test_several_messages_are_one_request_of_the_sdk(messages: list[OutgoingEmail]) -> None:
    messages = with_content_of_first(messages)
    ours = request_of(SENDGRID, messages, SECRETS)
    body = json.loads(ours.body)
    contents = {part["type"]: part["value"] for part in body["content"]}
    html, text = contents.get("text/html", ""), contents.get("text/plain", "")
    tags = [
        personalization.get("substitutions", {}) for personalization in body["personalizations"]
    ]
    theirs = sdk_request(mail(messages, html, text, tags))
    assert isinstance(theirs.data, bytes)
    assert body == json.loads(theirs.data)
    for message, values in zip(messages, tags, strict=True):
        assert all((html + text).count(name) == 1 for name in values)
        assert replaced(html, values) == str(message.html)
        assert replaced(text, values) == str(message.text)


def with_content_of_first(messages: list[OutgoingEmail]) -> list[OutgoingEmail]:
    """The messages with the literals of the first, each with its values as far as they go."""
    first = messages[0]
    found = []
    for number, message in enumerate(messages):
        parts = {
            name: Rendered(part.literals, tuple(f"{v}{number}-{{b}}" for v in part.values))
            for name, part in (("html", first.html), ("text", first.text))
        }
        found.append(OutgoingEmail(**{**vars(message), **parts, "subject": plain("Hello")}))
    return found


def replaced(text: str, values: dict[str, str]) -> str:
    """What SendGrid makes of a content: every tag is replaced."""
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def test_a_value_that_looks_like_a_tag_stays_text() -> None:
    """The tags of a call depend on its id, which no sender of a value knows."""
    first = json.loads(request_of(SENDGRID, several(2), SECRETS).body)
    tag = next(iter(first["personalizations"][0]["substitutions"]))
    hostile = [
        email(m.to, message_id=m.message_id, html=Rendered(("<p>Hello ", "</p>"), (tag,)))
        for m in several(2)
    ]
    body = json.loads(request_of(SENDGRID, hostile, SECRETS).body)
    for personalization in body["personalizations"]:
        assert tag not in personalization["substitutions"]
        html = body["content"][1]["value"]
        assert replaced(html, personalization["substitutions"]) == f"<p>Hello {tag}</p>"


def test_messages_of_different_content_are_no_call() -> None:
    other = email("b@mail.example", html=plain("<p>other</p>"))
    with pytest.raises(ValueError, match="same content"):
        request_of(SENDGRID, [email(), other], SECRETS)


@pytest.mark.parametrize(("region", "host"), [("", "api"), ("global", "api"), ("EU", "api.eu")])
def test_the_region_decides_the_host(region: str, host: str) -> None:
    url = request_of(SENDGRID, [email()], SECRETS | {"region": region}).url
    assert url == f"https://{host}.sendgrid.com/v3/mail/send"


def test_many_substitutions_need_a_call_of_their_own() -> None:
    def of(length: int) -> int | None:
        return SENDGRID.entry_bytes(email(html=Rendered(("", ""), ("x" * length,))))

    assert of(SUBSTITUTION_BYTES_MAX - 100) is not None
    assert of(SUBSTITUTION_BYTES_MAX) is None


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (202, "accepted"),
        (400, "refused"),
        (401, "pause"),
        (403, "pause"),
        (408, "retry"),
        (413, "refused"),
        (429, "defer"),
        (500, "unknown"),
        (502, "unknown"),
        (503, "retry"),
        (504, "unknown"),
        (200, "unknown"),
        (404, "unknown"),
        (302, "unknown"),
    ],
)
def test_a_status_concerns_every_message(status: int, kind: str, count: int) -> None:
    response = answer(status, {"errors": [{"message": "jane@mail.example"}]}, x_message_id="sg1")
    verdicts = SENDGRID.verdicts(several(count), response, NOW)
    assert [verdict.kind for verdict in verdicts] == [kind] * count
    expected = "sg1" if status == 202 else None
    assert {verdict.provider_message_id for verdict in verdicts} == {expected}
    assert "jane" not in repr(verdicts)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x_ratelimit_reset": str(int(NOW.timestamp()) + 40)}, 40),
        ({"retry_after": "7", "x_ratelimit_reset": "99"}, 7),
        ({"retry_after": "Sun, 01 Mar 2026 12:31:15 GMT"}, 60),
        ({"retry_after": "0"}, 1),
        ({"retry_after": "Sun, 01 Mar 2020 12:31:15 GMT"}, 1),
        ({"retry_after": "99999999"}, 86_400),
    ],
)
def test_a_deferral_ends_at_the_named_time(headers: dict[str, str], seconds: int) -> None:
    [verdict] = SENDGRID.verdicts([email()], answer(429, {}, **headers), NOW)
    assert verdict.until == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "nan", "-5", "inf", "1e400"])
def test_a_time_that_cannot_be_read_is_none(text: str) -> None:
    assert SENDGRID.verdicts([email()], answer(429, {}, retry_after=text), NOW) == [
        Verdict("defer", "429")
    ]


# Webhooks.

KEY = ec.derive_private_key(7_919, ec.SECP256R1())
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
).decode()
HOOK = {"apiKey": "k", "webhookPublicKey": PUBLIC}


def webhook(events: Any, stamp: datetime = NOW) -> Webhook:
    """A signed webhook, that SendGrid's own verifier accepts."""
    body = json.dumps(events).encode()
    text = str(int(stamp.timestamp()))
    signature = base64.b64encode(KEY.sign(text.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    assert EventWebhook(PUBLIC).verify_signature(body.decode(), signature, text)
    headers = {
        "x-twilio-email-event-webhook-signature": signature,
        "x-twilio-email-event-webhook-timestamp": text,
    }
    return Webhook("https://hooks.example/hooks/sendgrid/c/t", headers, body, NOW)


def record(event: str, **fields: Any) -> dict[str, Any]:
    return {
        "email": "jane@mail.example",
        "timestamp": 1_772_366_400,
        "event": event,
        "sg_event_id": "ev1",
        "sg_message_id": "14c5d75ce93.filter0001.16648.0",
        "message_id": "m-1",
        **fields,
    }


@pytest.mark.parametrize(
    ("fields", "kind", "is_hard", "suppression"),
    [
        ({"event": "processed"}, "accepted", False, None),
        ({"event": "delivered"}, "delivered", False, None),
        ({"event": "open"}, "opened", False, None),
        ({"event": "click", "url": "https://acme.example/"}, "clicked", False, None),
        ({"event": "bounce", "type": "bounce"}, "bounced", True, "bounce"),
        ({"event": "bounce", "type": "blocked"}, "bounced", False, None),
        ({"event": "spamreport"}, "complained", False, "complaint"),
        ({"event": "unsubscribe"}, "unsubscribed", False, "unsubscribe"),
        ({"event": "group_unsubscribe"}, "unsubscribed", False, "unsubscribe"),
        ({"event": "dropped", "reason": "Bounced Address"}, "bounced", True, "bounce"),
        (
            {"event": "dropped", "reason": "Spam Reporting Address"},
            "complained",
            False,
            "complaint",
        ),
        (
            {"event": "dropped", "reason": "Unsubscribed Address"},
            "unsubscribed",
            False,
            "unsubscribe",
        ),
        ({"event": "dropped", "reason": "Invalid"}, "failed", False, None),
    ],
)
def test_an_event_has_its_meaning(
    fields: dict[str, Any], kind: str, is_hard: bool, suppression: str | None
) -> None:
    [event] = events_of(SENDGRID, webhook([record(**fields)]), HOOK)
    assert (event.kind, event.is_hard, event.suppression) == (kind, is_hard, suppression)
    assert (event.event_id, event.message_id) == ("sg:ev1", "m-1")
    assert event.provider_message_id == "14c5d75ce93"
    assert event.occurred_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert event.url == fields.get("url")
    assert "jane" not in repr(event)


def test_events_come_in_lists_and_some_change_nothing() -> None:
    records = [
        record("deferred", attempt="1"),
        record("open", sg_event_id="a", sg_machine_open=True),
        record("click", sg_event_id="b"),
        record("delivered", sg_event_id=""),
        record("something_new"),
        {"event": 5},
        "text",
    ]
    found = events_of(SENDGRID, webhook(records), HOOK)
    assert [(event.event_id, event.is_machine) for event in found] == [
        ("sg:a", True),
        ("sg:b", False),
    ]
    assert events_of(SENDGRID, webhook({"no": "list"}), HOOK) == []


@pytest.mark.parametrize("change", ["body", "signature", "stamp", "no signature", "key", "no key"])
def test_a_wrong_signature_is_refused(change: str) -> None:
    good = webhook([record("delivered")])
    headers, body, secrets = dict(good.headers), good.body, dict(HOOK)
    signature, stamp = sorted(headers)
    other = ec.derive_private_key(104_729, ec.SECP256R1()).public_key()
    if change == "body":
        body += b" "
    elif change == "signature":
        headers[signature] = base64.b64encode(b"no DER").decode()
    elif change == "stamp":
        headers[stamp] = str(int(headers[stamp]) + 1)
    elif change == "no signature":
        headers = {}
    elif change == "key":
        secrets["webhookPublicKey"] = base64.b64encode(
            other.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        ).decode()
    else:
        del secrets["webhookPublicKey"]
    with pytest.raises(BadSignature):
        events_of(SENDGRID, Webhook(good.url, headers, body, NOW), secrets)


@pytest.mark.parametrize(("minutes", "is_accepted"), [(-9, True), (-11, False), (11, False)])
def test_an_old_webhook_is_refused(minutes: int, is_accepted: bool) -> None:
    old = webhook([record("delivered")], NOW + timedelta(minutes=minutes))
    if is_accepted:
        assert len(events_of(SENDGRID, old, HOOK)) == 1
    else:
        with pytest.raises(BadSignature):
            events_of(SENDGRID, old, HOOK)
