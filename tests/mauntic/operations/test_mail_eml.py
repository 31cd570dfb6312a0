"""Captured messages, opened as a mail program does: with the standard library's parser."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.outgoing import Outgoing, OutgoingEmail
from delivery.domain.rendered import plain
from delivery.providers.capture_format import CapturedMessage, captured_message
from mauntic.operations.mail_eml import to_eml
from tests.workers.delivery.providers.test_capture_format import CONTEXT, CREATED, EMAIL, PUSH, SMS


def opened(captured: CapturedMessage) -> EmailMessage:
    """As a mail program reads it."""
    message = message_from_bytes(to_eml(captured), policy=default)
    assert isinstance(message, EmailMessage)
    assert not [defect for part in message.walk() for defect in part.defects]
    return message


def body_of(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_an_email_opens_in_a_mail_program() -> None:
    message = opened(captured_message(EMAIL, **CONTEXT))
    sender = message["From"].addresses[0]
    assert (sender.display_name, sender.addr_spec) == ("Acmé, Inc.", "news@acme.example")
    assert message["Subject"] == "Hi Zoë!"
    assert message["To"] == "jane@private.example"
    assert message["List-Unsubscribe"].replace(" ", "") == EMAIL.headers["List-Unsubscribe"]
    assert message["Date"].datetime == CREATED
    assert body_of(message, "html") == "<p>é</p>\n"
    assert body_of(message, "plain") == "é\n"


@given(
    text=st.text(
        st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"), max_size=80
    ),
    subject=st.text(st.sampled_from('aé日 😀,:<>"=?_'), min_size=1, max_size=90),
)
def test_any_content_opens_in_a_mail_program(text: str, subject: str) -> None:
    subject = " ".join(subject.split()) or "s"
    email = OutgoingEmail(
        "m", "transactional", "é@b.example", "a@b.example", plain(subject), plain(text), plain(text)
    )
    message = opened(captured_message(email, **CONTEXT))
    assert "".join(message["Subject"].split()) == "".join(subject.split())
    assert body_of(message, "plain").rstrip("\n") == text.rstrip("\n")
    if text:
        assert body_of(message, "html").rstrip("\n") == text.rstrip("\n")


ENDPOINT = "https://fcm.googleapis.com/fcm/send/a:b;c=d"


@pytest.mark.parametrize(
    ("message", "recipient"),
    [(SMS, SMS.to), (PUSH, "token"), (replace(PUSH, token=ENDPOINT), ENDPOINT)],
)
def test_other_channels_open_as_text(message: Outgoing, recipient: str) -> None:
    mail = opened(captured_message(message, **CONTEXT))
    assert mail.get_content_type() == "text/plain"
    assert mail["X-Recipient"] == recipient


@pytest.mark.parametrize("address", ["é@b.example", "a'b+c@b.example", "#!$%@b.example"])
def test_any_address_opens_in_a_mail_program(address: str) -> None:
    email = replace(EMAIL, to=address, from_address=address)
    assert f"To: {address}" in to_eml(captured_message(email, **CONTEXT)).decode()
