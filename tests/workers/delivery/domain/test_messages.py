"""Each queue message as its producers write it, and each way to write it wrong."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from delivery.domain import messages
from delivery.domain.messages import (
    FullEmail,
    FullPush,
    ProviderEvents,
    Reconcile,
    Reference,
    SendCampaign,
    SendEmail,
    SendMessage,
    SendPush,
    SendSms,
    Unsubscribe,
)
from shared.error_text import describe
from shared.messages import Message

ID = "00000000-0000-4000-8000-000000000001"
TIME = "2026-03-01T02:00:00Z"
FULL = {"organizationId": ID, "idempotencyKey": "k", "contactId": ID, "templateId": ID}
EMAIL = {"organizationId": ID, "idempotencyKey": "k", "contactId": ID}
EVENTS: dict[str, Any] = {
    "providerConfigId": ID, "provider": "ses", "url": "https://h/hooks", "headers": {"a": "b"},
    "body": "e30=", "receivedAt": TIME,
}  # fmt: skip
SECRET = "jane@private.example"

VALID: list[tuple[type[Message], dict[str, Any]]] = [
    (SendEmail, {"organizationId": ID, "messageId": ID}),
    (SendSms, {"organizationId": ID, "messageId": ID}),
    (SendPush, {"organizationId": ID, "messageId": ID}),
    (SendEmail, FULL),
    (SendSms, FULL),
    (SendPush, FULL),
    (SendEmail, {
        **FULL, "to": SECRET, "class": "transactional", "variables": {"a": [1, {"b": None}]},
        "campaignId": ID, "journeyExecutionId": ID, "stepId": ID, "notBefore": TIME,
        "expiresAt": TIME, "onUncertain": "retry",
    }),
    (SendEmail, {
        **EMAIL, "content": {"subject": "s", "html": "h", "text": "t", "from": "A <a@b.example>",
                             "replyTo": "a@b.example"},
    }),
    (SendEmail, {
        "organizationId": ID, "idempotencyKey": "k" * 200, "to": SECRET, "class": "transactional",
        "content": {"subject": "", "text": ""},
    }),
    (SendSms, {**EMAIL, "content": {"text": "t"}, "onUncertain": "hold"}),
    (SendPush, {**EMAIL, "content": {"title": "t", "data": {"a": 1}}, "deviceId": ID}),
    (SendPush, {**EMAIL, "content": {"body": "b"}, "onUncertain": "retry"}),
    (SendMessage, {
        "organizationId": ID, "channel": "sms", "contactId": ID, "templateId": ID,
        "campaignId": ID, "journeyExecutionId": ID, "idempotencyKey": "k",
    }),
    (SendCampaign, {"organizationId": ID, "campaignId": ID}),
    (SendCampaign, {"organizationId": ID, "campaignId": ID, "part": 3}),
    (Reconcile, {"organizationId": ID, "callId": ID}),
    (ProviderEvents, EVENTS),
    (ProviderEvents, {**EVENTS, "body": None, "object": "inbox/1"}),
    (Unsubscribe, {"organizationId": ID, "contactId": ID, "messageId": ID, "receivedAt": TIME}),
]  # fmt: skip


def body(model: type[Message], data: object) -> dict[str, Any]:
    return {"type": model.model_fields["type"].default, "data": data}


@pytest.mark.parametrize(("model", "data"), VALID)
def test_a_message_survives_its_own_body(model: type[Message], data: dict[str, Any]) -> None:
    message = model.model_validate(body(model, data))
    assert model.model_validate(message.body()) == message


@pytest.mark.parametrize(("model", "data"), VALID)
def test_every_field_of_a_message_is_typed(model: type[Message], data: dict[str, Any]) -> None:
    """With any field replaced by an object of our own, or with one more field, it is refused."""
    for name in data:
        if name not in ("variables", "headers", "content") and data[name] is not None:
            with pytest.raises(ValidationError) as raised:
                model.model_validate(body(model, {**data, name: {"no": "value"}}))
            assert f"data.{name}" in describe(raised.value, model)
    with pytest.raises(ValidationError) as raised:
        model.model_validate(body(model, {**data, "recipient": "x"}))
    assert "data.recipient: Extra" in describe(raised.value, model, all_names=True)


@pytest.mark.parametrize(
    ("model", "data", "problem"),
    [
        (SendEmail, None, "data: Input should be a valid dictionary"),
        (SendEmail, [], "data: Input should be a valid dictionary"),
        (SendEmail, {}, "data.organizationId: Field required; data.idempotencyKey: Field required"),
        (SendEmail, {"messageId": ID}, "data.organizationId: Field required"),
        (SendEmail, {"organizationId": 1, "messageId": ID}, "data.organizationId: UUID input"),
        (SendEmail, {**FULL, "messageId": ID}, "data.idempotencyKey: Extra inputs are not"),
        (SendEmail, {**FULL, "deliveryId": ID}, "data.…: Extra inputs are not permitted"),
        (SendEmail, {**FULL, "deviceId": ID}, "data.…: Extra inputs are not permitted"),
        (SendPush, {**FULL, "to": "x"}, "data.…: Extra inputs are not permitted"),
        (SendEmail, {**FULL, "idempotencyKey": ""}, "data.idempotencyKey: String should have at l"),
        (SendEmail, {**FULL, "idempotencyKey": "k" * 201}, "data.idempotencyKey: String should"),
        (SendEmail, {**FULL, "idempotencyKey": "a\0"}, "data.idempotencyKey: Value error, has a c"),
        (SendEmail, {**FULL, "to": ""}, "data.to: String should have at least 1 character"),
        (SendEmail, {**FULL, "class": "bulk"}, "data.class: Input should be 'marketing' or 'tra"),
        (SendEmail, {**FULL, "notBefore": 1}, "data.notBefore: Value error, a time is text"),
        (SendEmail, {**FULL, "expiresAt": "2026-03-01"}, "data.expiresAt: Value error, a time is"),
        (SendEmail, {**FULL, "expiresAt": "2026-03-01T00:00:00"}, "data.expiresAt: Input should"),
        (SendEmail, {**FULL, "onUncertain": "x"}, "data.onUncertain: Input should be 'hold' or"),
        (SendEmail, {**FULL, "onUncertain": "retry"}, "data: Value error, `onUncertain` of"),
        (SendSms, {**FULL, "onUncertain": "retry"}, "data: Value error, `onUncertain` of"),
        (SendEmail, {**FULL, "variables": []}, "data.variables: Input should be"),
        (SendEmail, {**FULL, "variables": {"a": "\0"}}, "data.variables: Value error, has a"),
        (SendEmail, {**FULL, "content": {"subject": "s", "text": "t"}}, "data: Value error, needs"
         " exactly one of `templateId` and `content`"),
        (SendEmail, EMAIL, "data: Value error, needs exactly one of `templateId` and `content`"),
        (SendEmail, {**EMAIL, "content": {"text": "t"}}, "data.content.subject: Field required"),
        (SendEmail, {**EMAIL, "content": {"subject": "t"}}, "data.content: Value error, needs"),
        (SendEmail, {**EMAIL, "content": {"subject": "t", "text": "t", "title": "t"}},
         "data.content.…: Extra inputs are not permitted"),
        (SendEmail, {**EMAIL, "content": {"subject": "t", "text": "t", "from": "a\r\nBcc: b@c.de"}},
         "data.content.from: Value error, is neither an address nor a name and an address"),
        (SendEmail, {**EMAIL, "content": {"subject": "t", "text": "t", "replyTo": SECRET + ","}},
         "data.content.replyTo: Value error, is neither an address nor a name and an address"),
        (SendSms, {**EMAIL, "content": {"html": "t"}}, "data.content.text: Field required"),
        (SendPush, {**EMAIL, "content": {}}, "data.content: Value error, needs `title`, `body`"),
        (SendPush, {**FULL, "contactId": None}, "data: Value error, needs `contactId`"),
        (SendSms, {**FULL, "contactId": None}, "data: Value error, needs `contactId`, `to`"),
        (SendSms, {**FULL, "contactId": None, "to": "+1"}, "data: Value error, `to` without"),
        (SendMessage, {**FULL, "channel": "webhook"}, "data.channel: Input should be 'email', 'sm"),
        (SendMessage, {**FULL}, "data.channel: Field required"),
        (SendCampaign, {"organizationId": ID, "campaignId": ID, "part": 0}, "data.part: Input sho"),
        (SendCampaign, {"organizationId": ID, "campaignId": ID, "part": "1"}, "data.part: Input"),
        (Reconcile, {"organizationId": ID}, "data.callId: Field required"),
        (ProviderEvents, {**EVENTS, "object": "o"}, "data: Value error, needs exactly one of `b"),
        (ProviderEvents, {**EVENTS, "body": None}, "data: Value error, needs exactly one of `b"),
        (ProviderEvents, {**EVENTS, "body": "{}"}, "data.body: Value error, is not base64"),
        (ProviderEvents, {**EVENTS, "body": "A" * 87_388}, "data.body: String should have at most"),
        (ProviderEvents, {**EVENTS, "headers": {"a": 1}}, "data.headers.…: Input should be a"),
        (Unsubscribe, {"organizationId": ID, "contactId": ID, "receivedAt": TIME},
         "data.messageId: Field required"),
    ],
)  # fmt: skip
def test_a_malformed_message_names_its_field(
    model: type[Message], data: object, problem: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(body(model, data))
    assert describe(raised.value, model).startswith(problem)
    assert SECRET not in str(raised.value)


def test_a_reference_and_a_full_message_are_told_apart() -> None:
    reference = SendEmail.model_validate(body(SendEmail, {"organizationId": ID, "messageId": ID}))
    assert isinstance(reference.data, Reference)
    assert (reference.data.organization_id, reference.data.message_id) == (UUID(ID), UUID(ID))
    full = SendEmail.model_validate(body(SendEmail, FULL))
    assert isinstance(full.data, FullEmail)
    assert full.data.message_class == "marketing"
    assert full.data.channel == "email"
    assert isinstance(SendPush.model_validate(body(SendPush, FULL)).data, FullPush)


def test_the_bytes_of_a_webhook_are_kept() -> None:
    raw = bytes(range(256)) * 256
    data = {**EVENTS, "body": base64.b64encode(raw).decode()}
    assert ProviderEvents.model_validate(body(ProviderEvents, data)).data.raw == raw
    data = {**EVENTS, "body": None, "object": "o"}
    assert ProviderEvents.model_validate(body(ProviderEvents, data)).data.raw is None


def test_no_representation_has_an_address_or_content() -> None:
    content = {"subject": SECRET, "text": SECRET, "from": SECRET}
    message = SendEmail.model_validate(
        body(SendEmail, {**EMAIL, "to": SECRET, "content": content, "variables": {"a": SECRET}})
    )
    events = ProviderEvents.model_validate(
        body(ProviderEvents, {**EVENTS, "url": SECRET, "headers": {"a": SECRET}})
    )
    assert SECRET not in f"{message!r} {message} {events!r} {events}"


def test_every_message_of_this_module_has_its_own_type() -> None:
    found = [
        value.model_fields["type"].default
        for value in vars(messages).values()
        if isinstance(value, type)
        and issubclass(value, Message)
        and value.__module__ == messages.__name__
    ]
    types = [name for name in found if isinstance(name, str)]
    assert len(types) == len(set(types)) == 8
    assert all(name.startswith("delivery.") for name in types)
