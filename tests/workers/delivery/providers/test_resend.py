"""Resend: the requests of its SDK are the oracle, and `svix` signs the webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import resend
from hypothesis import given, settings
from hypothesis import strategies as st
from svix.webhooks import Webhook as Svix

from delivery.domain.outgoing import OutgoingEmail
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import BadSignature, Webhook
from delivery.providers.bodies import reply_to, sender
from delivery.providers.resend import Resend
from tests.workers.delivery.providers.support import (
    CALL_ID,
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

RESEND = Resend()
SECRETS = {"apiKey": "re_key"}
resend.api_key = "re_key"


def params(message: OutgoingEmail) -> Any:
    found = {
        "from": sender(message),
        "to": [message.to],
        "subject": str(message.subject),
        "html": str(message.html),
        "text": str(message.text),
        "reply_to": reply_to(message),
        "headers": {**message.headers, "X-Mauntic-Message": message.message_id},
        "tags": [{"name": "message_id", "value": message.message_id}],
    }
    return {name: value for name, value in found.items() if value}


@given(emails())
def test_a_message_is_the_request_of_the_sdk(message: OutgoingEmail) -> None:
    with captured({"id": "re1"}) as sent:
        resend.Emails.send(params(message), {"idempotency_key": message.message_id})
    ours = request_of(RESEND, [message], SECRETS)
    assert (ours.method, ours.url) == (cast(str, sent.only.method).upper(), sent.only.url)
    same_headers(ours, sent.only.headers)
    assert json.loads(ours.body) == sent.json


@settings(max_examples=40)
@given(calls().filter(lambda messages: len(messages) > 1))
def test_several_messages_are_one_request_of_the_sdk(messages: list[OutgoingEmail]) -> None:
    options: Any = {"idempotency_key": CALL_ID, "batch_validation": "permissive"}
    with captured({"data": []}) as sent:
        resend.Batch.send([params(message) for message in messages], options)
    ours = request_of(RESEND, messages, SECRETS)
    assert (ours.method, ours.url) == (cast(str, sent.only.method).upper(), sent.only.url)
    same_headers(ours, sent.only.headers)
    assert json.loads(ours.body) == sent.json


def test_the_same_call_has_the_same_bytes() -> None:
    first, second = (request_of(RESEND, several(3), SECRETS) for _ in range(2))
    assert (first.body, first.headers) == (second.body, second.headers)


# From the contract: status, name, verdict.
ERRORS = [
    (409, "concurrent_idempotent_requests", "unknown"),
    (409, "invalid_idempotent_request", "unknown"),
    (409, "something_new", "unknown"),
    (422, "validation_error", "refused"),
    (422, "missing_required_field", "refused"),
    (429, "rate_limit_exceeded", "defer"),
    (429, "daily_quota_exceeded", "pause"),
    (429, "monthly_quota_exceeded", "pause"),
    (401, "missing_api_key", "pause"),
    (403, "invalid_api_key", "pause"),
    (413, "", "refused"),
    (429, "", "defer"),
    (408, "", "retry"),
    (500, "application_error", "unknown"),
    (502, "", "unknown"),
    (503, "", "retry"),
    (504, "", "unknown"),
    (404, "not_found", "unknown"),
    (302, "", "unknown"),
]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("status", "name", "kind"), ERRORS)
def test_an_error_concerns_every_message(status: int, name: str, kind: str, count: int) -> None:
    response = answer(
        status, {"statusCode": status, "name": name, "message": "x jane@mail.example"}
    )
    verdicts = RESEND.verdicts(several(count), response, NOW)
    assert [verdict.kind for verdict in verdicts] == [kind] * count
    assert {verdict.code for verdict in verdicts} == {name or str(status)}
    assert "jane" not in repr(verdicts)


@pytest.mark.parametrize(
    ("name", "now", "until"),
    [
        ("daily_quota_exceeded", NOW, datetime(2026, 3, 2, tzinfo=UTC)),
        ("monthly_quota_exceeded", NOW, datetime(2026, 4, 1, tzinfo=UTC)),
        ("monthly_quota_exceeded", datetime(2026, 12, 31, 23, tzinfo=UTC),
         datetime(2027, 1, 1, tzinfo=UTC)),
        ("monthly_quota_exceeded", datetime(2026, 1, 31, tzinfo=UTC),
         datetime(2026, 2, 1, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_a_quota_pauses_until_its_day_or_month_ends(
    name: str, now: datetime, until: datetime
) -> None:
    [verdict] = RESEND.verdicts([email()], answer(429, {"name": name}), now)
    assert (verdict.kind, verdict.until) == ("pause", until)


def test_a_rate_limit_ends_when_the_header_says_so() -> None:
    body = answer(429, {"name": "rate_limit_exceeded"}, ratelimit_reset="2")
    [verdict] = RESEND.verdicts([email()], body, NOW)
    assert verdict.until == NOW + timedelta(seconds=2)


def test_a_message_is_accepted_with_its_id() -> None:
    assert RESEND.verdicts([email()], answer(200, {"id": "re1"}), NOW) == [
        Verdict("accepted", provider_message_id="re1")
    ]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", {"id": ""}, {"data": [{"id": "x"}]}])
def test_an_answer_that_cannot_be_read_is_unknown(body: Any) -> None:
    assert RESEND.verdicts([email()], answer(200, body), NOW) == [Verdict("unknown")]


def test_refused_entries_are_named_and_the_others_follow_in_order() -> None:
    body = {"data": [{"id": "a"}, {"id": "c"}], "errors": [{"index": 1, "message": "bad"}]}
    found = RESEND.verdicts(several(3), answer(200, body), NOW)
    assert [verdict.kind for verdict in found] == ["accepted", "refused", "accepted"]
    assert [verdict.provider_message_id for verdict in found] == ["a", None, "c"]


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ({"data": [{"id": "a"}]}, ["unknown"] * 3),
        ({"data": [{"id": "a"}] * 4}, ["unknown"] * 3),
        ({"data": [{"id": "a"}], "errors": [{"index": 1}]}, ["unknown", "refused", "unknown"]),
        ({"data": [{"id": "a"}] * 2, "errors": [{"index": 7}]}, ["unknown"] * 3),
        (
            {"data": [{"id": "a"}], "errors": [{"index": 1}, {"index": 1}]},
            ["unknown", "refused", "unknown"],
        ),
        ({"data": [{"id": "a"}] * 2, "errors": [{"index": True}]}, ["unknown"] * 3),
        ({"data": [{"id": "a"}] * 3, "errors": [{"index": 7}]}, ["unknown"] * 3),
        (
            {"data": [{"id": "a"}] * 2, "errors": [{"index": 1}, {"index": 1}]},
            ["unknown", "refused", "unknown"],
        ),
        ({"data": [{"id": "a"}, {"id": ""}, {"id": "c"}]}, ["accepted", "unknown", "accepted"]),
        ({}, ["unknown"] * 3),
        ([], ["unknown"] * 3),
    ],
)
def test_entries_that_cannot_be_aligned_are_unknown(body: Any, kinds: list[str]) -> None:
    found = RESEND.verdicts(several(3), answer(200, body), NOW)
    assert [verdict.kind for verdict in found] == kinds


@given(st.sets(st.integers(0, 5)), st.integers(2, 6))
def test_every_complete_answer_is_read(refused: set[int], count: int) -> None:
    refused = {index for index in refused if index < count}
    ids = {index: f"re{index}" for index in range(count) if index not in refused}
    body = {
        "data": [{"id": value} for value in ids.values()],
        "errors": [{"index": index, "message": "x"} for index in sorted(refused)],
    }
    messages = several(max(count, 2))[:count]
    if count > 1:
        found = RESEND.verdicts(messages, answer(200, body), NOW)
        assert {
            n: v.provider_message_id for n, v in enumerate(found) if v.kind == "accepted"
        } == ids
        assert {n for n, v in enumerate(found) if v.kind == "refused"} == refused


# Webhooks.

SECRET = "whsec_" + base64.b64encode(b"a secret of the test").decode()
HOOK = {"apiKey": "k", "hookSecret": SECRET}


def webhook(body: Any, stamp: datetime = NOW, hook_id: str = "msg_1") -> Webhook:
    """A webhook that `svix` signs."""
    text = json.dumps(body)
    headers = {
        "svix-id": hook_id,
        "svix-timestamp": str(int(stamp.timestamp())),
        "svix-signature": f"v1,{base64.b64encode(b'other').decode()} "
        + Svix(SECRET).sign(hook_id, stamp, text),
    }
    return Webhook("https://hooks.example/", headers, text.encode(), NOW)


def record(name: str, **data: Any) -> dict[str, Any]:
    return {
        "type": name,
        "created_at": "2026-03-01T12:00:00.000Z",
        "data": {
            "email_id": "re-1",
            "to": ["jane@mail.example"],
            "tags": {"message_id": "m-1"},
            **data,
        },
    }


CLICK = {"link": "https://acme.example/", "timestamp": "2026-03-01T12:00:00Z"}


@pytest.mark.parametrize(
    ("body", "kind", "is_hard", "suppression"),
    [
        (record("email.sent"), "accepted", False, None),
        (record("email.delivered"), "delivered", False, None),
        (record("email.opened"), "opened", False, None),
        (record("email.clicked", click=CLICK), "clicked", False, None),
        (record("email.bounced", bounce={"type": "Permanent"}), "bounced", True, "bounce"),
        (record("email.bounced", bounce={"type": "Transient"}), "bounced", False, None),
        (record("email.complained"), "complained", False, "complaint"),
        (record("email.failed"), "failed", False, None),
        (record("email.suppressed"), "failed", False, None),
        (
            record("email.sent", tags=[{"name": "x"}, {"name": "message_id", "value": "m-1"}]),
            "accepted",
            False,
            None,
        ),
    ],
)
def test_an_event_has_its_meaning(
    body: dict[str, Any], kind: str, is_hard: bool, suppression: str | None
) -> None:
    [event] = events_of(RESEND, webhook(body), HOOK)
    assert (event.kind, event.is_hard, event.suppression) == (kind, is_hard, suppression)
    assert (event.event_id, event.message_id) == ("svix:msg_1", "m-1")
    assert event.provider_message_id == "re-1"
    assert event.occurred_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert "jane" not in repr(event)


@pytest.mark.parametrize("body", [record("email.delivery_delayed"), record("contact.created"), []])
def test_another_webhook_changes_nothing(body: Any) -> None:
    assert events_of(RESEND, webhook(body), HOOK) == []


@pytest.mark.parametrize("hook_id", ["msg_1", ""])
def test_without_a_secret_or_an_id_no_signature_is_right(hook_id: str) -> None:
    body, stamp = b"{}", str(int(NOW.timestamp()))
    key = b"" if hook_id else base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, f"{hook_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "svix-id": hook_id,
        "svix-timestamp": stamp,
        "svix-signature": "v1," + base64.b64encode(digest).decode(),
    }
    secrets = {"apiKey": "k"} if hook_id else HOOK
    with pytest.raises(BadSignature):
        events_of(RESEND, Webhook("https://hooks.example/", headers, body, NOW), secrets)


@pytest.mark.parametrize(
    "change", ["body", "id", "stamp", "old", "new", "none", "secret", "no secret"]
)
def test_a_wrong_signature_is_refused(change: str) -> None:
    late = {"old": timedelta(minutes=-11), "new": timedelta(minutes=11)}.get(change, timedelta(0))
    good = webhook(record("email.sent"), NOW + late)
    headers, body, secrets = dict(good.headers), good.body, dict(HOOK)
    if change == "body":
        body += b" "
    elif change == "id":
        headers["svix-id"] = "msg_2"
    elif change == "stamp":
        headers["svix-timestamp"] = "x"
    elif change == "none":
        headers = {}
    elif change == "secret":
        secrets["hookSecret"] = "whsec_" + base64.b64encode(b"another").decode()
    elif change == "no secret":
        del secrets["hookSecret"]
    with pytest.raises(BadSignature):
        events_of(RESEND, Webhook(good.url, headers, body, NOW), secrets)
