"""Segment: raw tracking calls, as the S3 destination writes them.

A line is one call. The events of e-mails follow Segment's e-mail specification.
"""

from __future__ import annotations

from typing import Any

from delivery.providers.answers import text_at
from mauntic.event_import.event import RawEvent, Refused
from mauntic.event_import.formats.form import Format, Found, with_values

TYPES = {
    "Email Sent": "email_sent",
    "Email Delivered": "email_delivered",
    "Email Opened": "email_opened",
    "Email Link Clicked": "email_clicked",
    "Email Bounced": "email_bounced",
    "Email Marked as Spam": "email_complained",
    "Unsubscribed": "email_unsubscribed",
    "page": "page_visited",
    "screen": "screen_viewed",
}
LEFT_OUT = frozenset(("identify", "group", "alias"))


def events(value: Any) -> Found:
    """Yield the event of a call. A tracked event that is no e-mail keeps its name as its type."""
    call = text_at(value, "type")
    if not call:
        yield Refused("bad_record")
        return
    email = text_at(value, "context", "traits", "email") or text_at(value, "traits", "email")
    yield RawEvent(
        event_type=text_at(value, "event") if call == "track" else call,
        time=text_at(value, "timestamp"),
        email=email,
        contact_id="" if email else text_at(value, "userId"),
        event_id=text_at(value, "messageId"),
        campaign=text_at(value, "properties", "campaign_id"),
        data=with_values(
            url=text_at(value, "properties", "link_url"), path=text_at(value, "properties", "path")
        ),
    )


FORMAT = Format("segment", events, TYPES, LEFT_OUT, keeps_types=True)
