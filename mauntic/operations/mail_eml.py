"""A captured message as RFC 5322, which any mail program opens."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP

from delivery.providers.capture_format import CapturedMessage


def to_eml(captured: CapturedMessage) -> bytes:
    """Return the message. An SMS or a push has its text, and its recipient in `X-Recipient`."""
    message = EmailMessage(SMTP)
    for name, value in captured.headers.items():
        # A token of a device or a telephone number is no mail address, and not parsed as one.
        is_no_mailbox = name == "To" and captured.channel != "email"
        message["X-Recipient" if is_no_mailbox else name] = value
    message["Date"] = captured.created_at
    message["Message-ID"] = f"<{captured.message_id}@captured.invalid>"
    message.set_content(captured.text, cte=_transfer_encoding(captured.text))
    if captured.html:
        encoding = _transfer_encoding(captured.html)
        message.add_alternative(captured.html, subtype="html", cte=encoding)
    return message.as_bytes(policy=SMTP if _is_ascii(message) else SMTP.clone(utf8=True))


def _is_ascii(message: EmailMessage) -> bool:
    """Return False if an address has a local part that has no form in ASCII."""
    found = [message[name] for name in ("From", "To", "Reply-To") if name in message]
    return all(address.addr_spec.isascii() for header in found for address in header.addresses)


def _transfer_encoding(text: str) -> str:
    """Quoted-printable is readable; base64 is shorter for text that is mostly not ASCII."""
    is_mostly_ascii = sum(map(str.isascii, text)) * 2 >= len(text)
    return "quoted-printable" if is_mostly_ascii else "base64"
