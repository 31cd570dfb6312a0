"""The e-mail port over a binding with the vendor's limits."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from shared.adapters.email import BoundEmail
from shared.errors import EmailFailed
from shared.ports import EmailMessage
from tests.fakes import EmailBinding

MESSAGE = EmailMessage("Acme <news@acme.example>", "eve@example.org", "Hello", text="Hi")


def send(binding: EmailBinding, message: EmailMessage) -> str:
    return asyncio.run(BoundEmail(binding.send).send(message))


def test_a_message_has_the_bindings_fields_without_the_empty_ones() -> None:
    binding = EmailBinding()
    full = replace(MESSAGE, html="<p>Hi</p>", reply_to="h@acme.example", headers={"X-Id": "1"})
    assert [send(binding, MESSAGE), send(binding, full)] == ["email-1", "email-2"]
    sender = {"email": "news@acme.example", "name": "Acme"}
    short = {"from": sender, "to": "eve@example.org", "subject": "Hello", "text": "Hi"}
    assert binding.sent == [
        short,
        short | {"html": "<p>Hi</p>", "replyTo": "h@acme.example", "headers": {"X-Id": "1"}},
    ]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (replace(MESSAGE, to=""), "E_FIELD_MISSING"),
        (replace(MESSAGE, text=""), "E_VALIDATION_ERROR"),
        (replace(MESSAGE, subject="a\r\nBcc: b"), "E_VALIDATION_ERROR"),
        (replace(MESSAGE, subject="a" * 999), "E_VALIDATION_ERROR"),
        (replace(MESSAGE, html="x" * 6_000_000), "E_CONTENT_TOO_LARGE"),
        (replace(MESSAGE, headers={"Bcc": "b"}), "E_HEADER_USE_API_FIELD"),
        (replace(MESSAGE, headers={"X-A": "b\nc"}), "E_HEADER_VALUE_INVALID"),
        (replace(MESSAGE, headers={"X-A": "b" * 2_049}), "E_HEADER_VALUE_TOO_LONG"),
        (
            replace(MESSAGE, headers={f"X-{n}": "b" * 2_040 for n in "123456789"}),
            "E_HEADERS_TOO_LARGE",
        ),
        (replace(MESSAGE, headers={f"List-{n}": "b" for n in range(21)}), "E_HEADERS_TOO_MANY"),
    ],
)
def test_the_code_of_a_rejection_is_kept(message: EmailMessage, code: str) -> None:
    with pytest.raises(EmailFailed) as caught:
        send(EmailBinding(), message)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("E_RATE_LIMIT_EXCEEDED: slow down"), "E_RATE_LIMIT_EXCEEDED"),
        (OSError("Network connection lost."), "unknown"),
    ],
)
def test_an_error_without_a_code_is_unknown(error: Exception, code: str) -> None:
    binding = EmailBinding()
    binding.broken = error
    with pytest.raises(EmailFailed) as caught:
        send(binding, MESSAGE)
    assert caught.value.code == code
