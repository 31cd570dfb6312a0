"""Webhooks of every provider, in its published form and signed as it signs, until their rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from delivery.domain.outgoing import Channel
from delivery.feedback import reading
from delivery.providers.adapter import Webhook
from delivery.providers.bodies import basic
from delivery.providers.registry import ADAPTERS
from shared.inbox import encoded
from tests.fake_r2 import FakeR2
from tests.workers.delivery.feedback import published
from tests.workers.delivery.feedback.hooks import (
    POSTMARK,
    activities,
    answers,
    deliver,
    letters,
    postmark,
    suppressions,
    webhook,
)
from tests.workers.delivery.feedback.published import Example, Expected
from tests.workers.delivery.providers import (
    test_mailgun,
    test_resend,
    test_sendgrid,
    test_sns,
    test_twilio,
)
from tests.workers.delivery.stage import NOW, Stage, org, person

RECEIVED = NOW + timedelta(minutes=5)
COLUMNS = (
    "delivered_at", "bounced_at", "complained_at", "unsubscribed_at", "opened_at", "clicked_at",
    "failed_at",
)  # fmt: skip


@dataclass(frozen=True)
class Provider:
    """How a provider signs the published record of a message."""

    secrets: dict[str, Any]
    examples: list[Example]
    sign: Callable[[Any, str, str], Webhook]
    channel: Channel = "email"


PROVIDERS = {
    "ses": Provider(
        {
            "region": "eu-central-1", "accessKeyId": "a", "secretAccessKey": "s",
            "configurationSet": "events", "topicArn": test_sns.TOPIC,
        },
        published.SES,
        lambda record, url, message: test_sns.webhook(
            test_sns.signed(test_sns.notification(record))
        ),
    ),
    "sendgrid": Provider(
        test_sendgrid.HOOK,
        published.SENDGRID,
        lambda record, url, message: test_sendgrid.webhook([record], RECEIVED),
    ),
    "postmark": Provider(
        POSTMARK,
        published.POSTMARK,
        lambda record, url, message: Webhook(
            url, {"authorization": basic("u", "p")}, json.dumps(record).encode(), RECEIVED
        ),
    ),
    "resend": Provider(
        test_resend.HOOK,
        published.RESEND,
        lambda record, url, message: test_resend.webhook(record, RECEIVED, f"msg_{message}"),
    ),
    "mailgun": Provider(
        test_mailgun.HOOK,
        published.MAILGUN,
        lambda record, url, message: test_mailgun.webhook(record),
    ),
    "twilio": Provider(
        test_twilio.SECRETS,
        published.TWILIO,
        lambda record, url, message: test_twilio.webhook(record, f"{url}/{message}"),
        "sms",
    ),
}  # fmt: skip


@pytest.fixture
def ready(stage: Stage) -> Iterator[Stage]:
    """SNS serves its certificate."""
    stage.organization()
    stage.outside.buckets["INBOX_R2"] = FakeR2(stage.clock)
    stage.outside.secrets["HTTP_ALLOWED_HOSTS"] = "*.amazonaws.com"
    stage.outside.http.body = test_sns.CERTIFICATE.encode()
    yield stage
    reading.WEBHOOKS.certificates.clear()


def sent_messages(stage: Stage, config: UUID, channel: Channel, count: int) -> list[UUID]:
    """Messages to contacts of their own, as a config sends them."""
    found = []
    for number in range(1, count + 1):
        stage.contact(number, custom_fields={"_consent_preferences": {"sms": True}})
        message = stage.message(number, channel=channel, content={"text": "Hi", "subject": "Hi"})
        found.append(message)
        stage.db.execute(
            "update delivery.messages set state = 'sent', attempts = 1, called_at = :now,"
            " sent_at = :now, finished_at = :now, provider_config_id = :config, address = :address,"
            " provider_message_id = :theirs where id = :id",
            id=message,
            now=NOW,
            config=config,
            address=f"+1415555{number:04}" if channel == "sms" else f"p{number}@people.example",
            theirs=str(message),
        )
    stage.outside.now = RECEIVED
    return found


def found_of(stage: Stage, number: int, message: UUID) -> Expected:
    """What became of a message, its contact and its address."""
    row = stage.row(message)
    columns = [name for name in COLUMNS if row[name] is not None]
    events = stage.db.rows(
        "select event_type, occurred_at from analytics.contact_activity where contact_id = :id",
        id=person(number),
    )
    reasons = stage.db.rows(
        "select reason from delivery.suppressions where message_id = :id", id=message
    )
    [contact] = stage.db.rows("select status from crm.contacts where id = :id", id=person(number))
    for at in [row[name] for name in columns] + [event["occurred_at"] for event in events]:
        assert NOW <= at <= RECEIVED
    assert len(events) <= 1
    return Expected(
        columns[0] if columns else None,
        events[0]["event_type"].partition("_")[2] if events else None,
        row["bounce_kind"],
        reasons[0]["reason"] if reasons else None,
        contact["status"],
    )


@pytest.mark.parametrize("name", PROVIDERS)
def test_each_published_event_has_its_effects(name: str, ready: Stage) -> None:
    provider = PROVIDERS[name]
    config = ready.config(1, name, provider.channel, provider.secrets)
    messages = sent_messages(ready, config, provider.channel, len(provider.examples))
    bodies = []
    for message, (record, _) in zip(messages, provider.examples, strict=True):
        url = f"https://hooks.example/hooks/{name}/{config}/token"
        made = provider.sign(record(str(message)), url, str(message))
        path = f"/{message}" if name == "twilio" else ""
        headers = dict(made.headers)
        bodies.append(
            webhook(config, made.body, RECEIVED, provider=name, headers=headers, path=path)
        )
    assert set(answers(deliver(ready, *bodies))) == {"ack"}
    assert letters(ready) == []
    found = [found_of(ready, number, own) for number, own in enumerate(messages, 1)]
    assert found == [expected for _, expected in provider.examples]
    before = ready.db.rows("select * from delivery.messages order by id")
    deliver(ready, *bodies)
    assert ready.db.rows("select * from delivery.messages order by id") == before


def test_each_published_event_of_cloudflare_has_its_effects(ready: Stage) -> None:
    """They name no config: the provider's id is unique among the configs of Cloudflare."""
    config = ready.config(1, "cloudflare", "email", {})
    messages = sent_messages(ready, config, "email", len(published.CLOUDFLARE))
    other = ready.config(1, "postmark", priority=-1, secrets=POSTMARK)
    for message in messages:  # another provider may use the same id
        ready.db.execute(
            "update delivery.messages set provider_config_id = :other, provider_message_id = :id"
            " where id = :own",
            other=other, id=str(message), own=ready.message(1),
        )  # fmt: skip
    bodies = [
        record(str(message))
        for message, (record, _) in zip(messages, published.CLOUDFLARE, strict=True)
    ]
    assert set(answers(deliver(ready, *bodies))) == {"ack"}
    assert letters(ready) == []
    found = [found_of(ready, number, own) for number, own in enumerate(messages, 1)]
    assert found == [expected for _, expected in published.CLOUDFLARE]


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_wrong_signature_is_a_dead_letter_and_changes_nothing(name: str, ready: Stage) -> None:
    provider = PROVIDERS[name]
    config = ready.config(1, name, provider.channel, provider.secrets)
    [message] = sent_messages(ready, config, provider.channel, 1)
    record = provider.examples[2][0](str(message))
    made = provider.sign(record, "https://hooks.example/x", str(message))
    text = made.body.replace(b"acme", b"evil").replace(b"Status=", b"status=")
    spoiled = text.replace(b'"token": "t', b'"token": "x').replace(b"Type", b"type")
    headers = {n: f"{v}x" for n, v in made.headers.items()}
    deliver(ready, webhook(config, spoiled, RECEIVED, provider=name, headers=headers))
    [(reason, error)] = letters(ready)
    assert reason == "bad_signature"
    assert "people.example" not in error
    assert activities(ready) == []
    assert ready.db.rows("select 1 from delivery.delivery_events") == []


@pytest.mark.parametrize("case", ["missing", "another provider", "no provider", "captured"])
def test_a_webhook_without_its_config_is_a_dead_letter(case: str, ready: Stage) -> None:
    """`capture` has no signature: outside of the mode local it must not be a way around one."""
    config = ready.config(secrets=POSTMARK)
    [message] = sent_messages(ready, config, "email", 1)
    ready.outside.secrets["DELIVERY_MODE"] = "live"
    provider = {"another provider": "resend", "no provider": "x", "captured": "capture"}.get(case)
    body = postmark("Delivery", message)
    named = uuid4() if case == "missing" else config
    deliver(ready, webhook(named, body, RECEIVED, provider=provider or "postmark"))
    assert [reason for reason, _ in letters(ready)] == ["unknown_config"]
    assert ready.row(message)["delivered_at"] is None


def test_reports_of_captured_messages_need_no_config(ready: Stage) -> None:
    """In the mode local an organization without a provider hears what became of its messages."""
    config = ready.config(secrets=POSTMARK)
    [message] = sent_messages(ready, config, "email", 1)
    event = {
        "kind": "bounced", "messageId": str(message), "at": RECEIVED.isoformat(), "isHard": True,
        "suppression": "bounce",
    }  # fmt: skip
    body = json.dumps([event]).encode()
    deliver(ready, webhook(UUID(int=0), body, RECEIVED, provider="capture", headers={}))
    assert letters(ready) == []
    assert ready.row(message)["bounce_kind"] == "hard"


def test_a_config_that_is_no_longer_active_is_still_heard(ready: Stage) -> None:
    config = ready.config(secrets=POSTMARK, is_active=False)
    [message] = sent_messages(ready, config, "email", 1)
    deliver(ready, webhook(config, postmark("Delivery", message), RECEIVED))
    assert ready.row(message)["delivered_at"] is not None


def test_without_the_key_a_webhook_comes_again(ready: Stage) -> None:
    config = ready.config(secrets=POSTMARK)
    del ready.outside.secrets["PROVIDER_KEY"]
    deliveries = deliver(ready, webhook(config, postmark("Delivery"), RECEIVED))
    assert answers(deliveries) == ["retry"]


def test_one_bad_webhook_concerns_no_other(ready: Stage) -> None:
    config = ready.config(secrets=POSTMARK)
    first, second = sent_messages(ready, config, "email", 2)
    deliveries = deliver(
        ready,
        webhook(config, postmark("Delivery", first), RECEIVED),
        webhook(config, postmark("Delivery", first), RECEIVED, headers={}),
        webhook(config, b"no json", RECEIVED),
        webhook(config, postmark("Delivery", second, MessageID="pm-2"), RECEIVED),
    )
    assert set(answers(deliveries)) == {"ack"}
    assert [ready.row(own)["delivered_at"] is not None for own in (first, second)] == [True, True]
    assert {reason for reason, _ in letters(ready)} <= {"bad_signature", "failed"}


def test_an_object_is_read_and_deleted_once_it_is_applied(ready: Stage) -> None:
    config = ready.config(secrets=POSTMARK)
    [message] = sent_messages(ready, config, "email", 1)
    bucket = ready.outside.buckets["INBOX_R2"]
    assert isinstance(bucket, FakeR2)
    good, bad = webhook(config, b"", RECEIVED, obj="k1"), webhook(config, b"", RECEIVED, obj="k2")
    bad["data"]["headers"] = {}
    body = json.dumps(postmark("Delivery", message)).encode()
    for key in ("k1", "k2"):
        bucket.objects[key] = (encoded(body), "e")
    deliver(ready, good, bad)
    assert ready.row(message)["delivered_at"] is not None
    assert list(bucket.objects) == ["k2"], "what an operator may send again keeps its body"
    assert answers(deliver(ready, good)) == ["ack"]
    assert [reason for reason, _ in letters(ready)] == ["bad_signature"]


def test_an_object_that_cannot_be_deleted_fails_nothing(ready: Stage) -> None:
    config = ready.config(secrets=POSTMARK)
    [message] = sent_messages(ready, config, "email", 1)
    bucket = FakeR2(ready.clock, lambda operation, key: "500" if operation == "delete" else None)
    ready.outside.buckets["INBOX_R2"] = bucket
    body = json.dumps(postmark("Delivery", message)).encode()
    bucket.objects["k"] = (encoded(body), "e")
    assert answers(deliver(ready, webhook(config, b"", RECEIVED, obj="k"))) == ["ack"]
    assert ready.row(message)["delivered_at"] is not None


def test_a_reply_with_stop_suppresses_its_number(ready: Stage) -> None:
    config = ready.config(1, "twilio", "sms", test_twilio.SECRETS)
    fields = {
        "ToCountry": "US", "SmsMessageSid": "SM9", "NumMedia": "0", "SmsSid": "SM9",
        "SmsStatus": "received", "Body": "STOP", "OptOutType": "STOP", "To": "+15005550006",
        "NumSegments": "1", "MessageSid": "SM9", "AccountSid": "AC1", "From": "+14155552671",
        "ApiVersion": "2010-04-01",
    }  # fmt: skip
    made = test_twilio.webhook(fields, f"https://hooks.example/hooks/twilio/{config}/token")
    body = webhook(config, made.body, RECEIVED, provider="twilio", headers=dict(made.headers))
    deliver(ready, body, body)
    assert letters(ready) == []
    assert suppressions(ready) == [("sms", "+14155552671", "unsubscribe", "all")]
    [event] = ready.db.rows("select * from delivery.delivery_events")
    assert (event["organization_id"], event["message_id"]) == (org(), None)
    assert "+1415" not in json.dumps(event, default=str)


def test_each_provider_with_webhooks_has_published_events() -> None:
    silent = {"fcm", "webpush"}
    assert ADAPTERS.keys() == PROVIDERS.keys() | silent | {"cloudflare"}
    examples = [p.examples for p in PROVIDERS.values()] + [published.CLOUDFLARE]
    assert all(len(own) >= 5 for own in examples)
