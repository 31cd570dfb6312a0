"""The headers of webhooks that go on: those that an adapter reads, and no other."""

from __future__ import annotations

from collections.abc import Mapping

HEADER_CHARS_MAX = 2_048
# A test compares this table with what the adapters of the delivery worker read.
HEADERS: Mapping[str, tuple[str, ...]] = {
    "mailgun": (),
    "postmark": ("authorization",),
    "resend": ("svix-id", "svix-timestamp", "svix-signature"),
    "sendgrid": (
        "x-twilio-email-event-webhook-signature",
        "x-twilio-email-event-webhook-timestamp",
    ),
    "ses": (),
    "twilio": ("x-twilio-signature",),
}


class UnusableHeader(Exception):
    """A header that an adapter reads is too long, or has characters that no signature has."""


def forwarded(provider: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that the provider's adapter reads. Raises UnusableHeader."""
    found = {name: headers[name] for name in HEADERS[provider] if name in headers}
    for value in found.values():
        if len(value) > HEADER_CHARS_MAX or not (value.isascii() and value.isprintable()):
            raise UnusableHeader
    return found
