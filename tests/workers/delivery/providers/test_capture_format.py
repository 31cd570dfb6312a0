"""Captured messages and calls: written and read back."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from delivery.domain.outgoing import Outgoing, OutgoingEmail, OutgoingPush, OutgoingSms
from delivery.domain.rendered import Rendered, plain
from delivery.providers.adapter import HttpRequest
from delivery.providers.capture_format import (
    CaptureUnreadable,
    call_from_json,
    captured_call,
    captured_message,
    message_from_json,
    to_json,
)

CREATED = datetime(2026, 3, 10, 23, 30, tzinfo=UTC)
CONTEXT: dict[str, Any] = {
    "organization_id": "org-1", "created_at": CREATED, "provider_type": "ses", "call_id": "call-1",
}  # fmt: skip
EMAIL = OutgoingEmail(
    message_id="message-1",
    message_class="marketing",
    to="jane@private.example",
    from_address="news@acme.example",
    from_name="Acmé, Inc.",
    reply_to="help@acme.example",
    subject=Rendered(("Hi ", "!"), ("Zoë",)),
    html=plain("<p>é</p>"),
    text=plain("é\n"),
    headers={
        "List-Unsubscribe": "<https://hooks.example/u/" + "a" * 86 + ">",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    },
)
SMS = OutgoingSms("message-2", "transactional", "+14155552671", "Hi")
PUSH = OutgoingPush(
    "message-3", "transactional", "token", "Title", "Body", CREATED, data={"a": "b"}
)


@pytest.mark.parametrize("message", [EMAIL, SMS, PUSH])
def test_a_message_is_read_as_it_was_written(message: Outgoing) -> None:
    captured = captured_message(message, **CONTEXT)
    assert message_from_json(to_json(captured)) == captured
    assert captured.key == f"captured/2026-03-10/org-1/{message.message_id}"


def test_a_repetition_writes_the_same_object() -> None:
    assert to_json(captured_message(EMAIL, **CONTEXT)) == to_json(
        captured_message(EMAIL, **CONTEXT)
    )


def test_the_day_is_that_of_utc() -> None:
    west = CREATED.astimezone(timezone(timedelta(hours=-8)))
    east = CREATED.astimezone(timezone(timedelta(hours=9)))
    keys = {captured_message(SMS, **CONTEXT | {"created_at": at}).key for at in (west, east)}
    assert keys == {"captured/2026-03-10/org-1/message-2"}


def test_the_parts_of_each_channel_are_kept() -> None:
    email, sms, push = (captured_message(message, **CONTEXT) for message in (EMAIL, SMS, PUSH))
    assert email.headers == {
        "From": '"Acmé, Inc." <news@acme.example>',
        "To": "jane@private.example",
        "Subject": "Hi Zoë!",
        "Reply-To": "help@acme.example",
        **EMAIL.headers,
        "X-Mauntic-Message": "message-1",
    }
    assert (email.channel, email.html, email.text) == ("email", "<p>é</p>", "é\n")
    assert (sms.channel, sms.headers, sms.text) == ("sms", {"To": "+14155552671"}, "Hi")
    assert (push.channel, push.subject, push.text, push.data) == (
        "push",
        "Title",
        "Body",
        {"a": "b"},
    )


@pytest.mark.parametrize("body", [b'{"a": "\xc3\xa9"}', b"\xff\x00"])
def test_a_call_is_kept_without_its_secrets(body: bytes) -> None:
    headers = {
        "Content-Type": "application/json",
        "Authorization": "secret",
        "X-Postmark-Server-Token": "secret",
        "X-Amz-Security-Token": "secret",
        "X-Unknown": "secret",
    }
    call = captured_call(
        HttpRequest("POST", "https://api.example/send", headers, body),
        message_ids=["message-1", "message-2"],
        **CONTEXT,
    )
    assert call.key == "captured/2026-03-10/org-1/calls/call-1"
    assert "secret" not in to_json(call)
    assert call.headers["Content-Type"] == "application/json"
    assert call.headers["Authorization"] == "(removed)"
    read = call_from_json(to_json(call))
    assert read == call
    restored = base64.b64decode(read.body) if read.body_encoding == "base64" else read.body.encode()
    assert restored == body


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", "\ud800", '{"version": 1}', '{"version": 1, "created_at": 5}',
             '{"version": 1, "created_at": "2026-03-10T00:00:00+00:00", "more": 1}'],
)  # fmt: skip
def test_another_object_is_refused(text: str) -> None:
    with pytest.raises(CaptureUnreadable, match="is not a captured"):
        message_from_json(text)
    with pytest.raises(CaptureUnreadable, match="is not a captured"):
        call_from_json(text)


def test_a_later_version_is_refused() -> None:
    fields = json.loads(to_json(captured_message(SMS, **CONTEXT)))
    with pytest.raises(CaptureUnreadable, match="has version 2: this program reads 1"):
        message_from_json(json.dumps(fields | {"version": 2}))


def test_no_representation_has_content() -> None:
    assert "jane" not in repr(captured_message(EMAIL, **CONTEXT))
