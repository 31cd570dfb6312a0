"""Cloudflare: what the binding receives, through the port's adapter; its codes; its events."""

from __future__ import annotations

import asyncio
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from delivery.domain.outgoing import OutgoingEmail
from delivery.domain.rendered import plain
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import BadSignature, BindingRequest, Webhook
from delivery.providers.cloudflare import Cloudflare, event_of
from delivery.providers.transport import perform, verdicts_of
from shared.adapters.email import BoundEmail, fields_of
from tests.fakes import EmailBinding, EmailRejected, FakeHttp
from tests.workers.delivery.providers.support import (
    CALL_ID,
    CRYPTO,
    NOW,
    answer,
    email,
    emails,
    events_of,
)

CLOUDFLARE = Cloudflare()
ROOT = Path(__file__).parents[4]


def send(message: OutgoingEmail, binding: EmailBinding) -> list[Verdict]:
    request = asyncio.run(CLOUDFLARE.request([message], {}, CALL_ID, NOW, CRYPTO))
    assert isinstance(request, BindingRequest)
    outcome = asyncio.run(perform(request, FakeHttp(), BoundEmail(binding.send)))
    return verdicts_of(CLOUDFLARE, [message], outcome, NOW)


def address_of(mailbox: str | dict[str, str]) -> str:
    """The address of a mailbox in one of the binding's forms: with and without a name."""
    return mailbox if isinstance(mailbox, str) else mailbox["email"]


@given(emails(marketing=False))
def test_the_binding_receives_the_message(message: OutgoingEmail) -> None:
    binding = EmailBinding()
    verdicts = send(message, binding)
    if not str(message.subject):
        assert verdicts == [Verdict("refused", "E_FIELD_MISSING")]
        return
    if not str(message.subject).isprintable():
        assert verdicts == [Verdict("refused", "E_VALIDATION_ERROR")]
        return
    assert verdicts == [Verdict("accepted", provider_message_id="email-1")]
    [fields] = binding.sent
    assert fields["to"] == message.to
    assert fields["subject"] == str(message.subject)
    assert fields.get("html", "") == str(message.html)
    assert fields.get("text", "") == str(message.text)
    assert address_of(fields.get("replyTo", "")) == message.reply_to
    assert fields["headers"] == {"X-Mauntic-Message": message.message_id}


@pytest.mark.parametrize(
    ("name", "passed_on"),
    [("Acme", "Acme"), ('The "A", Inc.', 'The "A", Inc.'), ("A <b@c>", "A b@c"), ("Zoë\n", "Zoë")],
)
def test_names_of_sender_and_reply_address_are_passed_on(name: str, passed_on: str) -> None:
    binding = EmailBinding()
    message = email(from_name=name, reply_to="help@acme.example", reply_to_name=name)
    send(message, binding)
    assert binding.sent[0]["from"] == {"email": "shop@acme.example", "name": passed_on}
    assert binding.sent[0]["replyTo"] == {"email": "help@acme.example", "name": passed_on}


def of_miniflare(messages: list[OutgoingEmail]) -> list[dict[str, str]]:
    """What miniflare's own binding answers."""
    fields = []
    for message in messages:
        request = asyncio.run(CLOUDFLARE.request([message], {}, CALL_ID, NOW, CRYPTO))
        assert isinstance(request, BindingRequest)
        fields.append(fields_of(request.message))
    node = ROOT / ".venv" / "bin" / "node"
    done = subprocess.run(
        [node, Path(__file__).with_name("cloudflare_binding.mjs")],
        input=json.dumps(fields), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, str]] = json.loads(done.stdout)
    return answers


def test_miniflares_binding_reads_sender_and_recipient() -> None:
    good = [
        email(),
        email(from_name='The "A", Inc.'),
        email(from_name="Zoë", reply_to="help@acme.example", reply_to_name="Zoë, Acme"),
        email(html=plain("")),
        email(text=plain(""), subject=plain("Grüße 字")),
    ]
    bad = [email("joe@mail.example"), email(from_address="other@acme.example", from_name="A")]
    answers = of_miniflare([*good, *bad])
    ids = [answer["messageId"] for answer in answers[: len(good)]]
    assert len(set(ids)) == len(good)
    assert "email to joe@mail.example not allowed" in answers[-2]["error"]
    assert "email from other@acme.example not allowed" in answers[-1]["error"]
    # The form of its ids, which the events of the vendor need not share.
    [verdict] = CLOUDFLARE.verdicts([email()], answer(200, {"messageId": ids[0]}), NOW)
    assert verdict.provider_message_id == ids[0].strip("<>") != ids[0]


# From the contract: the beginning of a code, and its verdict.
CODES = {
    "E_RATE_LIMIT_EXCEEDED": "defer",
    "E_DAILY_LIMIT_EXCEEDED": "pause",
    "E_SENDER_NOT_VERIFIED": "pause",
    "E_SENDER_DOMAIN_NOT_AVAILABLE": "pause",
    "E_RECIPIENT_SUPPRESSED": "suppress",
    "E_INTERNAL_SERVER_ERROR": "unknown",
    "E_DELIVERY_FAILED": "refused",
    "E_VALIDATION_ERROR": "refused",
    "E_FIELD_MISSING": "refused",
    "E_HEADER_NOT_ALLOWED": "refused",
    "E_CONTENT_TOO_LARGE": "refused",
    "E_TOO_MANY_RECIPIENTS": "refused",
    "E_SOMETHING_NEW": "unknown",
}


@pytest.mark.parametrize("code", CODES)
def test_a_code_of_the_binding_has_its_verdict(code: str) -> None:
    binding = EmailBinding()
    binding.broken = EmailRejected(code, "about jane@mail.example")
    [verdict] = send(email(), binding)
    assert (verdict.kind, verdict.code) == (CODES[code], code)
    is_daily = code.startswith("E_DAILY")
    assert verdict.until == (datetime(2026, 3, 2, tzinfo=UTC) if is_daily else None)


def test_an_error_without_a_code_is_unknown() -> None:
    binding = EmailBinding()
    binding.broken = ConnectionError("lost")
    assert [verdict.kind for verdict in send(email(), binding)] == ["unknown"]


def test_without_the_binding_nothing_is_sent() -> None:
    request = asyncio.run(CLOUDFLARE.request([email()], {}, CALL_ID, NOW, CRYPTO))
    assert asyncio.run(perform(request, FakeHttp(), None)) == Verdict("pause", "no_binding")


def event(name: str, **payload: Any) -> dict[str, Any]:
    """A queue message as the vendor documents it."""
    return {
        "type": f"cf.email.sending.message.{name}",
        "source": {"type": "email.sending", "zoneId": "z", "domain": "acme.example"},
        "payload": {
            "eventId": "ev-1",
            "messageId": "<cf-1@acme.example>",
            "recipient": "jane@mail.example",
            "terminal": name != "deferred",
            **payload,
        },
        "metadata": {"eventTimestamp": "2026-03-01T11:00:00.500Z"},
    }


@pytest.mark.parametrize(
    ("message", "kind", "is_hard", "suppression"),
    [
        (event("delivered"), "delivered", False, None),
        (event("bounced", bounce={"type": "hard"}), "bounced", True, "bounce"),
        (event("bounced", bounce={"type": "soft"}), "bounced", False, None),
        (event("complained", complaint={"type": "abuse"}), "complained", False, "complaint"),
        (event("failed"), "failed", False, None),
        (event("rejected"), "failed", False, None),
    ],
)
def test_an_event_matches_by_the_providers_id(
    message: dict[str, Any], kind: str, is_hard: bool, suppression: str | None
) -> None:
    found = event_of(message, NOW)
    assert found
    assert (found.kind, found.is_hard, found.suppression) == (kind, is_hard, suppression)
    assert (found.event_id, found.provider_message_id) == ("cf:ev-1", "cf-1@acme.example")
    assert found.occurred_at == datetime(2026, 3, 1, 11, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize("message", [event("deferred"), event("delivered", eventId=""), {}])
def test_another_message_changes_nothing(message: dict[str, Any]) -> None:
    assert event_of(message, NOW) is None


def test_a_webhook_that_claims_to_be_cloudflare_is_refused() -> None:
    webhook = Webhook("https://hooks.example/", {}, b"{}", NOW)
    with pytest.raises(BadSignature):
        events_of(CLOUDFLARE, webhook, {})
