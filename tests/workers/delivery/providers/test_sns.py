"""Webhooks of SNS: signed here with a certificate as SNS signs; the records are those of the SES
documentation, reduced."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from delivery.providers.adapter import BadSignature, HttpRequest, NeedsCertificate, Webhook
from delivery.providers.ses import Ses
from tests.workers.delivery.providers.support import NOW, events_of

SES = Ses()
KEY = rsa.generate_private_key(65_537, 2_048)
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
CERTIFICATE = (
    x509.CertificateBuilder()
    .subject_name(NAME)
    .issuer_name(NAME)
    .public_key(KEY.public_key())
    .serial_number(7)
    .not_valid_before(NOW)
    .not_valid_after(NOW + timedelta(days=1))
    .sign(KEY, hashes.SHA256())
    .public_bytes(serialization.Encoding.PEM)
    .decode()
)
TOPIC = "arn:aws:sns:eu-central-1:123456789012:ses-events"
CERTIFICATE_URL = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a1b.pem"
SUBSCRIBE_URL = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"
SECRETS = {"topicArn": TOPIC, "signingCertificate": CERTIFICATE}
HASHES = {"1": hashes.SHA1(), "2": hashes.SHA256()}


def signed(envelope: dict[str, str]) -> dict[str, str]:
    """The envelope, signed as the SNS documentation describes it."""
    if envelope["Type"] == "Notification":
        names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    else:
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope)
    digest = HASHES[envelope["SignatureVersion"]]
    signature = KEY.sign(text.encode(), padding.PKCS1v15(), digest)
    return {**envelope, "Signature": base64.b64encode(signature).decode()}


def notification(record: Any, **rest: str) -> dict[str, str]:
    return {
        "Type": "Notification",
        "MessageId": "sns-1",
        "TopicArn": TOPIC,
        "Message": json.dumps(record),
        "Timestamp": "2026-03-01T12:00:00.000Z",
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE_URL,
        **rest,
    }


SUBSCRIPTION = {
    **notification("You have chosen to subscribe"),
    "Type": "SubscriptionConfirmation",
    "Token": "t",
    "SubscribeURL": SUBSCRIBE_URL,
}


def webhook(envelope: Any) -> Webhook:
    body = json.dumps(envelope).encode()
    return Webhook("https://hooks.example/hooks/ses/c/t", {}, body, NOW)


def record(name: str, part: str, **detail: Any) -> dict[str, Any]:
    return {
        "eventType": name,
        part: {"timestamp": "2026-03-01T12:00:00.000Z", **detail},
        "mail": {
            "timestamp": "2026-03-01T11:59:00.000Z",
            "messageId": "ses-1",
            "destination": ["jane@mail.example"],
            "tags": {"ses:configuration-set": ["events"], "message_id": ["m-1"]},
        },
    }


OPT_OUT = {"newTopicPreferences": {"unsubscribeAll": True}}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "event_id", "kind", "is_hard", "suppression"),
    [
        (record("Send", "send"), "Send:ses-1:2026-03-01T12:00:00.000Z:", "accepted", False, None),
        (
            record("Delivery", "delivery"),
            "Delivery:ses-1:2026-03-01T12:00:00.000Z:", "delivered", False, None,
        ),
        (record("Open", "open"), "Open:ses-1:2026-03-01T12:00:00.000Z:", "opened", False, None),
        (
            record("Click", "click", link="https://acme.example/"),
            "Click:ses-1:2026-03-01T12:00:00.000Z:33e1b3f79f5a205f", "clicked", False, None,
        ),
        (
            record("Bounce", "bounce", bounceType="Permanent", feedbackId="fb-1"),
            "Bounce:ses-1:fb-1:", "bounced", True, "bounce",
        ),
        (
            record("Bounce", "bounce", bounceType="Transient", feedbackId="fb-1"),
            "Bounce:ses-1:fb-1:", "bounced", False, None,
        ),
        (
            record("Complaint", "complaint", feedbackId="fb-2"),
            "Complaint:ses-1:fb-2:", "complained", False, "complaint",
        ),
        (
            record("Reject", "reject", reason="Bad content"),
            "Reject:ses-1:2026-03-01T12:00:00.000Z:", "failed", False, None,
        ),
        (
            record("Rendering Failure", "failure", errorMessage="x"),
            "Rendering Failure:ses-1:2026-03-01T12:00:00.000Z:", "failed", False, None,
        ),
        (
            record("Subscription", "subscription", **OPT_OUT),
            "Subscription:ses-1:2026-03-01T12:00:00.000Z:", "unsubscribed", False, "unsubscribe",
        ),
    ],
)  # fmt: skip
def test_an_event_has_its_meaning(
    body: dict[str, Any], event_id: str, kind: str, is_hard: bool, suppression: str | None
) -> None:
    [event] = events_of(SES, webhook(signed(notification(body))), SECRETS)
    assert event.event_id == f"ses:{event_id}"
    assert (event.kind, event.is_hard, event.suppression) == (kind, is_hard, suppression)
    assert (event.message_id, event.provider_message_id) == ("m-1", "ses-1")
    assert event.occurred_at == NOON
    assert "jane" not in repr(event)


def test_two_links_at_one_time_are_two_events() -> None:
    def click(link: str) -> str:
        body = record("Click", "click", link=link)
        [event] = events_of(SES, webhook(signed(notification(body))), SECRETS)
        assert event.url == link
        return event.event_id

    assert click("https://acme.example/a") == click("https://acme.example/a")
    assert click("https://acme.example/a") != click("https://acme.example/b")


@pytest.mark.parametrize(
    "body",
    [
        record("DeliveryDelay", "deliveryDelay"),
        record("Subscription", "subscription", newTopicPreferences={"unsubscribeAll": False}),
        {"eventType": "Send", "mail": {}},
        [],
        "no record",
    ],
)
def test_another_record_changes_nothing(body: Any) -> None:
    assert events_of(SES, webhook(signed(notification(body))), SECRETS) == []


def test_an_event_without_tags_has_the_providers_id_alone() -> None:
    body = record("Delivery", "delivery")
    del body["mail"]["tags"]
    [event] = events_of(SES, webhook(signed(notification(body))), SECRETS)
    assert (event.message_id, event.provider_message_id) == (None, "ses-1")


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [{}, {"Subject": "Amazon SES Email Event"}])
def test_both_versions_of_the_signature_are_verified(version: str, subject: dict[str, str]) -> None:
    envelope = notification(record("Send", "send"), SignatureVersion=version, **subject)
    assert len(events_of(SES, webhook(signed(envelope)), SECRETS)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"Message": json.dumps(record("Complaint", "complaint"))},
        {"Subject": "added"},
        {"Timestamp": "2026-03-01T12:00:01.000Z"},
        {"Signature": "AAAA"},
        {"Signature": "not base64!"},
        {"Signature": ""},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
        {"TopicArn": "arn:aws:sns:eu-central-1:999999999999:ses-events"},
        {"Type": "Other"},
        {"SigningCertURL": "https://evil.example/cert.pem"},
    ],
)
def test_a_wrong_signature_is_refused(change: dict[str, str]) -> None:
    envelope = {**signed(notification(record("Send", "send"))), **change}
    with pytest.raises(BadSignature):
        events_of(SES, webhook(envelope), SECRETS)


@pytest.mark.parametrize(
    "secrets",
    [
        {"topicArn": TOPIC},
        {"topicArn": TOPIC, "signingCertificate": "no certificate"},
        {"topicArn": TOPIC, "signingCertificate": CERTIFICATE[:200]},
        {"signingCertificate": CERTIFICATE},
    ],
)
def test_without_topic_or_certificate_nothing_is_accepted(secrets: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        events_of(SES, webhook(signed(notification(record("Send", "send")))), secrets)


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"5"])
def test_another_body_is_refused(body: bytes) -> None:
    with pytest.raises(BadSignature):
        events_of(SES, Webhook("https://hooks.example/", {}, body, NOW), SECRETS)


def get(request: HttpRequest | None) -> tuple[str, str, bytes] | None:
    return (request.method, request.url, request.body) if request else None


def test_the_certificate_is_fetched_from_sns() -> None:
    assert isinstance(SES, NeedsCertificate)
    request = SES.certificate_request(webhook(notification({})), SECRETS)
    assert get(request) == ("GET", CERTIFICATE_URL, b"")


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-central-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com/a.pem",
        "https://sns.eu-central-1.amazonaws.com.evil.example/a.pem",
        "https://sns.eu-central-1.amazonaws.com@evil.example/a.pem",
        "https://sns.eu-central-1.amazonaws.com:444/a.pem",
        "https://evil.example/sns.eu-central-1.amazonaws.com/a.pem",
        "https://sns.eu-central-1.amazonaws.com/a.txt",
        "https://sns.eu-central-1.amazonaws.com/a.pem\n",
        "",
    ],
)
def test_a_certificate_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(BadSignature):
        SES.certificate_request(webhook(notification({}, SigningCertURL=url)), SECRETS)


def test_a_subscription_is_confirmed_at_sns_alone() -> None:
    subscription = webhook(signed(SUBSCRIPTION))
    assert events_of(SES, subscription, SECRETS) == []
    assert get(SES.confirmation_request(subscription, SECRETS)) == ("GET", SUBSCRIBE_URL, b"")
    assert SES.confirmation_request(webhook(signed(notification({}))), SECRETS) is None
    other = signed({**SUBSCRIPTION, "SubscribeURL": "https://evil.example/"})
    assert SES.confirmation_request(webhook(other), SECRETS) is None
    foreign = {**SUBSCRIPTION, "TopicArn": TOPIC + "x"}
    with pytest.raises(BadSignature):
        SES.confirmation_request(webhook(signed(foreign)), SECRETS)
