"""Postmark: the requests of `postmarker` are the oracle; fields that it does not know, the
documentation."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postmarker.core import PostmarkClient

from delivery.domain.outgoing import OutgoingEmail
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import BadSignature, CannotSend, Webhook
from delivery.providers.bodies import basic, reply_to, sender
from delivery.providers.postmark import Postmark
from tests.workers.delivery.providers.support import (
    NOW,
    answer,
    calls,
    captured,
    email,
    emails,
    events_of,
    request_of,
    same_headers,
    several,
)

POSTMARK = Postmark()
SECRETS = {"serverToken": "pm-token", "broadcastStream": "news"}
CLIENT = PostmarkClient(server_token="pm-token")


def fields(message: OutgoingEmail) -> dict[str, Any]:
    return {
        "From": sender(message),
        "To": message.to,
        "ReplyTo": reply_to(message),
        "Subject": str(message.subject),
        "HtmlBody": str(message.html),
        "TextBody": str(message.text),
        "Headers": {**message.headers, "X-Mauntic-Message": message.message_id},
        "Metadata": {"message_id": message.message_id},
        "MessageStream": "news" if message.message_class == "marketing" else "outbound",
    }


def filled(body: Any) -> Any:
    """The body without the SDK's empty fields, and without its word for "as the server is set"."""
    if isinstance(body, list):
        return [filled(entry) for entry in body]
    return {name: value for name, value in body.items() if value not in (None, "", [], "None")}


@given(emails())
def test_a_message_is_the_request_of_the_sdk(message: OutgoingEmail) -> None:
    with captured({"ErrorCode": 0, "MessageID": "m"}) as sent:
        CLIENT.emails.send(**fields(message))
    ours = request_of(POSTMARK, [message], SECRETS)
    assert (ours.method, ours.url) == (sent.only.method, sent.only.url)
    same_headers(ours, sent.only.headers)
    assert json.loads(ours.body) == filled(sent.json)


@settings(max_examples=40)
@given(calls().filter(lambda messages: len(messages) > 1))
def test_several_messages_are_one_request_of_the_sdk(messages: list[OutgoingEmail]) -> None:
    with captured([{"ErrorCode": 0}] * len(messages)) as sent:
        CLIENT.emails.send_batch(*(fields(message) for message in messages))
    ours = request_of(POSTMARK, messages, SECRETS)
    assert (ours.method, ours.url) == (sent.only.method, sent.only.url)
    same_headers(ours, sent.only.headers)
    assert json.loads(ours.body) == filled(sent.json)


def test_transactional_messages_have_the_configured_stream() -> None:
    body = request_of(POSTMARK, [email()], SECRETS | {"stream": "receipts"}).body
    assert json.loads(body)["MessageStream"] == "receipts"


def test_marketing_needs_a_broadcast_stream() -> None:
    with pytest.raises(CannotSend) as refused:
        request_of(POSTMARK, [email(message_class="marketing")], {"serverToken": "t"})
    assert refused.value.verdict == Verdict("pause", "config_broadcast_stream")


# From the contract: ErrorCode -> verdict.
ERRORS = {
    300: "refused",
    400: "pause",
    401: "pause",
    405: "pause",
    406: "suppress",
    412: "pause",
    413: "pause",
    999: "unknown",
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("code", ERRORS)
def test_an_error_of_a_call_concerns_every_message(code: int, count: int) -> None:
    response = answer(422, {"ErrorCode": code, "Message": "about jane@mail.example"})
    verdicts = POSTMARK.verdicts(several(count), response, NOW)
    assert [verdict.kind for verdict in verdicts] == [ERRORS[code]] * count
    assert {verdict.code for verdict in verdicts} == {str(code)}
    assert "jane" not in repr(verdicts)


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_of_an_entry_concerns_its_message_alone(code: int) -> None:
    good = [{"ErrorCode": 0, "MessageID": f"pm{n}", "To": f"p{n}@mail.example"} for n in range(3)]
    results = [good[0], {"ErrorCode": code, "Message": "x"}, good[2]]
    verdicts = POSTMARK.verdicts(several(3), answer(200, results), NOW)
    assert [verdict.kind for verdict in verdicts] == ["accepted", ERRORS[code], "accepted"]
    assert verdicts[2].provider_message_id == "pm2"


def test_missing_results_are_unknown_and_the_others_align_by_address() -> None:
    good = [{"ErrorCode": 0, "MessageID": f"pm{n}", "To": f"P{n}@mail.example"} for n in range(3)]
    verdicts = POSTMARK.verdicts(several(3), answer(200, [good[2], good[0]]), NOW)
    assert [verdict.provider_message_id for verdict in verdicts] == ["pm0", None, "pm2"]
    assert [verdict.kind for verdict in verdicts] == ["accepted", "unknown", "accepted"]


def test_a_result_that_names_another_address_is_unknown() -> None:
    good = [{"ErrorCode": 0, "MessageID": f"pm{n}", "To": f"p{n}@mail.example"} for n in (1, 0, 2)]
    verdicts = POSTMARK.verdicts(several(3), answer(200, good), NOW)
    assert [verdict.kind for verdict in verdicts] == ["unknown", "unknown", "accepted"]


def test_two_results_for_one_address_align_with_none() -> None:
    good = [
        {"ErrorCode": 0, "MessageID": f"pm{n}", "To": f"p{n}@mail.example"} for n in (0, 0, 1, 2)
    ]
    verdicts = POSTMARK.verdicts(several(3), answer(200, good), NOW)
    assert [verdict.kind for verdict in verdicts] == ["unknown", "accepted", "accepted"]


@given(
    st.integers(2, 4),
    st.recursive(
        st.none() | st.integers(0, 1) | st.sampled_from(["p0@mail.example", "p1@mail.example"]),
        lambda inner: (
            st.lists(inner, max_size=5)
            | st.dictionaries(st.sampled_from(["ErrorCode", "MessageID", "To"]), inner)
        ),
        max_leaves=20,
    ),
)
def test_a_result_never_reaches_another_address(count: int, body: Any) -> None:
    messages = several(count)
    for message, verdict in zip(messages, POSTMARK.verdicts(messages, answer(200, body), NOW),
                                strict=True):  # fmt: skip
        if verdict.kind == "accepted":
            mine = [
                result
                for result in body
                if isinstance(result, dict) and result.get("ErrorCode") == 0
            ]
            ids = [
                result for result in mine if str(result["MessageID"]) == verdict.provider_message_id
            ]
            assert any(result.get("To") in (None, [], {}, 0, 1, message.to) for result in ids)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "pause"), (403, "pause"), (408, "retry"), (413, "refused"), (429, "defer"),
     (500, "unknown"), (503, "retry"), (200, "unknown"), (422, "unknown")],
)  # fmt: skip
def test_a_status_concerns_every_message(status: int, kind: str) -> None:
    for count in (1, 3):
        verdicts = POSTMARK.verdicts(several(count), answer(status, b"<html>"), NOW)
        assert [verdict.kind for verdict in verdicts] == [kind] * count


# Webhooks.

HOOK = {"serverToken": "t", "hookUser": "user", "hookPassword": "pass"}


def webhook(body: Any, authorization: str = basic("user", "pass")) -> Webhook:
    headers = {"authorization": authorization} if authorization else {}
    return Webhook("https://hooks.example/", headers, json.dumps(body).encode(), NOW)


def record(name: str, **rest: Any) -> dict[str, Any]:
    """A webhook of the documentation, reduced."""
    return {
        "RecordType": name,
        "MessageID": "pm-1",
        "Metadata": {"message_id": "m-1"},
        "Email": "jane@mail.example",
        **rest,
    }


STAMP = "2026-03-01T07:00:00.2735393-05:00"
SUPPRESSED = {"SuppressSending": True, "ChangedAt": STAMP}


@pytest.mark.parametrize(
    ("body", "event_id", "kind", "is_hard", "suppression"),
    [
        (record("Delivery", DeliveredAt=STAMP), "Delivery:pm-1", "delivered", False, None),
        (record("Open", ReceivedAt=STAMP), "Open:pm-1", "opened", False, None),
        (record("Click", ReceivedAt=STAMP), "Click:pm-1", "clicked", False, None),
        (
            record("Bounce", ID=42, Type="HardBounce", BouncedAt=STAMP),
            "Bounce:42", "bounced", True, "bounce",
        ),
        (
            record("Bounce", ID=42, Type="BadEmailAddress", BouncedAt=STAMP),
            "Bounce:42", "bounced", True, "bounce",
        ),
        (
            record("Bounce", ID=42, Type="SoftBounce", BouncedAt=STAMP),
            "Bounce:42", "bounced", False, None,
        ),
        (
            record("SpamComplaint", ID=43, BouncedAt=STAMP),
            "SpamComplaint:43", "complained", False, "complaint",
        ),
        (
            record("SubscriptionChange", SuppressionReason="ManualSuppression", **SUPPRESSED),
            "SubscriptionChange:pm-1", "unsubscribed", False, "unsubscribe",
        ),
    ],
)  # fmt: skip
def test_an_event_has_its_meaning(
    body: dict[str, Any], event_id: str, kind: str, is_hard: bool, suppression: str | None
) -> None:
    [event] = events_of(POSTMARK, webhook(body), HOOK)
    assert event.event_id == f"pm:{event_id}"
    assert (event.kind, event.is_hard, event.suppression) == (kind, is_hard, suppression)
    assert (event.message_id, event.provider_message_id) == ("m-1", "pm-1")
    assert event.occurred_at == datetime(2026, 3, 1, 12, 0, 0, 273_539, tzinfo=UTC)
    assert "jane" not in repr(event)


@pytest.mark.parametrize(
    "body",
    [
        record("SubscriptionChange", SuppressSending=False, ChangedAt=STAMP),
        record("SubscriptionChange", SuppressionReason="HardBounce", **SUPPRESSED),
        record("Inbound"),
        record("Delivery", MessageID=""),
        [],
        "text",
    ],
)
def test_another_webhook_changes_nothing(body: Any) -> None:
    assert events_of(POSTMARK, webhook(body), HOOK) == []


@pytest.mark.parametrize(
    ("authorization", "secrets"),
    [
        ("", HOOK),
        (basic("user", "other"), HOOK),
        (basic("user", "pass").lower(), HOOK),
        (basic("", ""), {"serverToken": "t"}),
        ("Basic é", HOOK),
    ],
)
def test_a_wrong_password_is_refused(authorization: str, secrets: dict[str, str]) -> None:
    with pytest.raises(BadSignature) as refused:
        events_of(POSTMARK, webhook(record("Delivery"), authorization), secrets)
    assert "pass" not in str(refused.value).replace("password", "")
