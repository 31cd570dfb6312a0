"""Mailgun: the requests of its SDK are the oracle; webhooks follow its documentation."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from mailgun.client import Client

from delivery.domain.outgoing import OutgoingEmail
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import BadSignature, CannotSend, Webhook
from delivery.providers.bodies import reply_to, sender
from delivery.providers.mailgun import Mailgun
from tests.workers.delivery.providers.support import (
    NOW,
    answer,
    captured,
    email,
    emails,
    events_of,
    form,
    request_of,
    same_headers,
)

MAILGUN = Mailgun()
SECRETS = {"apiKey": "key-1", "domain": "mg.acme.example"}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(auth=("api", "key-1")) as found:
        yield found


@given(message=emails())
def test_a_message_is_the_request_of_the_sdk(client: Client, message: OutgoingEmail) -> None:
    fields = {
        "from": sender(message),
        "to": message.to,
        "subject": str(message.subject),
        "html": str(message.html),
        "text": str(message.text),
        "h:Reply-To": reply_to(message),
        **{f"h:{name}": value for name, value in message.headers.items()},
        "h:X-Mauntic-Message": message.message_id,
        "v:message_id": message.message_id,
    }
    filled = {name: value for name, value in fields.items() if value}
    with captured({"id": "<mg1@mg>"}) as sent:
        client.messages.create(data=filled, domain="mg.acme.example")
    ours = request_of(MAILGUN, [message], SECRETS)
    assert (ours.method, ours.url) == (sent.only.method, sent.only.url)
    same_headers(ours, sent.only.headers)
    body = sent.only.body
    assert isinstance(body, str | bytes)
    assert form(ours.body) == form(body)


@pytest.mark.parametrize(("region", "host"), [("", "api"), ("us", "api"), ("EU", "api.eu")])
def test_the_region_decides_the_host(region: str, host: str) -> None:
    url = request_of(MAILGUN, [email()], SECRETS | {"region": region}).url
    assert url == f"https://{host}.mailgun.net/v3/mg.acme.example/messages"


@pytest.mark.parametrize("domain", ["", "a/b", "a?b", "a b"])
def test_a_domain_that_is_no_name_is_refused(domain: str) -> None:
    with pytest.raises(CannotSend) as refused:
        request_of(MAILGUN, [email()], SECRETS | {"domain": domain})
    assert refused.value.verdict == Verdict("pause", "config_domain")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "refused"),
        (401, "pause"),
        (403, "pause"),
        (404, "pause"),
        (408, "retry"),
        (413, "refused"),
        (420, "pause"),
        (429, "defer"),
        (500, "unknown"),
        (502, "unknown"),
        (503, "retry"),
        (504, "unknown"),
        (302, "unknown"),
        (202, "unknown"),
    ],
)
def test_a_status_has_its_verdict(status: int, kind: str) -> None:
    response = answer(status, {"message": "'to' jane@mail.example is not valid"})
    [verdict] = MAILGUN.verdicts([email()], response, NOW)
    assert (verdict.kind, verdict.code) == (kind, str(status))
    assert "jane" not in repr(verdict)


def test_a_message_is_accepted_with_its_id() -> None:
    """Events name it without the angle brackets."""
    assert MAILGUN.verdicts(
        [email()], answer(200, {"id": "<mg1@mg>", "message": "Queued"}), NOW
    ) == [Verdict("accepted", provider_message_id="mg1@mg")]


@pytest.mark.parametrize("body", [b"", b"{", {"id": ""}, []])
def test_an_answer_that_cannot_be_read_is_unknown(body: Any) -> None:
    assert MAILGUN.verdicts([email()], answer(200, body), NOW) == [Verdict("unknown")]


# Webhooks: https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks

HOOK = SECRETS | {"signingKey": "signing"}


def webhook(record: Any, key: str = "signing", **signature: Any) -> Webhook:
    digest = hmac.new(key.encode(), b"1772366400" + b"t" * 50, hashlib.sha256).hexdigest()
    signed = {"timestamp": "1772366400", "token": "t" * 50, "signature": digest, **signature}
    body = json.dumps({"signature": signed, "event-data": record}).encode()
    return Webhook("https://hooks.example/", {}, body, NOW)


def record(event: str, **rest: Any) -> dict[str, Any]:
    return {
        "event": event,
        "id": "ev1",
        "timestamp": 1_772_366_400.5,
        "recipient": "jane@mail.example",
        "message": {"headers": {"message-id": "mg1@mg"}},
        "user-variables": {"message_id": "m-1"},
        **rest,
    }


PERMANENT = {"severity": "permanent"}
HARD = {"delivery-status": {"bounce-type": "hard", "code": 550}}
SOFT = {"delivery-status": {"bounce-type": "soft", "code": 552}}


@pytest.mark.parametrize(
    ("data", "kind", "is_hard", "suppression"),
    [
        (record("accepted"), "accepted", False, None),
        (record("delivered"), "delivered", False, None),
        (record("opened"), "opened", False, None),
        (record("clicked", url="https://acme.example/"), "clicked", False, None),
        (record("complained"), "complained", False, "complaint"),
        (record("unsubscribed"), "unsubscribed", False, "unsubscribe"),
        (record("rejected"), "failed", False, None),
        (record("failed", reason="bounce", **PERMANENT), "bounced", True, "bounce"),
        (record("failed", reason="generic", **PERMANENT), "bounced", False, None),
        (record("failed", reason="espblock", **PERMANENT), "bounced", False, None),
        (record("failed", reason="generic", **PERMANENT, **HARD), "bounced", True, "bounce"),
        (record("failed", reason="bounce", **PERMANENT, **SOFT), "bounced", False, None),
        (record("failed", reason="suppress-bounce", **PERMANENT), "bounced", True, "bounce"),
        (
            record("failed", reason="suppress-complaint", **PERMANENT),
            "complained",
            False,
            "complaint",
        ),
        (
            record("failed", reason="suppress-unsubscribe", **PERMANENT),
            "unsubscribed",
            False,
            "unsubscribe",
        ),
        (record("failed", reason="old", **PERMANENT), "bounced", False, None),
        (record("failed", reason="something new", **PERMANENT), "failed", False, None),
    ],
)
def test_an_event_has_its_meaning(
    data: dict[str, Any], kind: str, is_hard: bool, suppression: str | None
) -> None:
    [event] = events_of(MAILGUN, webhook(data), HOOK)
    assert (event.kind, event.is_hard, event.suppression) == (kind, is_hard, suppression)
    assert (event.event_id, event.message_id) == ("mg:ev1", "m-1")
    assert event.provider_message_id == "mg1@mg"
    assert event.occurred_at == datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
    assert event.url == data.get("url")
    assert "jane" not in repr(event)


def test_an_open_of_a_proxy_is_marked() -> None:
    data = record("opened", **{"client-info": {"bot": "apple"}})
    [event] = events_of(MAILGUN, webhook(data), HOOK)
    assert event.is_machine


@pytest.mark.parametrize(
    "data",
    [record("failed", severity="temporary", reason="generic"), record("stored"), {}, [], None],
)
def test_another_webhook_changes_nothing(data: Any) -> None:
    assert events_of(MAILGUN, webhook(data), HOOK) == []


@pytest.mark.parametrize(
    ("bad", "secrets"),
    [
        (webhook(record("opened"), "other"), HOOK),
        (webhook(record("opened"), timestamp="1772366401"), HOOK),
        (webhook(record("opened"), token="x"), HOOK),
        (webhook(record("opened"), token="\ud800"), HOOK),
        (webhook(record("opened"), signature="\udfff"), HOOK),
        (webhook(record("opened"), signature=""), HOOK),
        (webhook(record("opened"), ""), SECRETS),
        (Webhook("https://hooks.example/", {}, b"no json", NOW), HOOK),
        (Webhook("https://hooks.example/", {}, urlencode({"a": 1}).encode(), NOW), HOOK),
    ],
)
def test_a_wrong_signature_is_refused(bad: Webhook, secrets: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        events_of(MAILGUN, bad, secrets)
