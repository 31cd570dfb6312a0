"""Amazon SES: records of event publishing, as Firehose writes them, or notifications of SNS.

A line is one record. A record has the id of its message, and none of its own.
"""

from __future__ import annotations

import json
from typing import Any

from delivery.providers.answers import at, list_at, text_at
from mauntic.event_import.event import RawEvent, Refused
from mauntic.event_import.formats.form import Format, Found, with_values

TYPES = {
    "Send": "email_sent",
    "Delivery": "email_delivered",
    "Open": "email_opened",
    "Click": "email_clicked",
    "Bounce": "email_bounced",
    "Complaint": "email_complained",
    "Subscription unsubscribeAll": "email_unsubscribed",
}
LEFT_OUT = frozenset(("Reject", "Rendering Failure", "DeliveryDelay", "Subscription"))
CAMPAIGN_TAGS = ("campaign", "campaign_id", "campaignId")
# Of these types a record does not name the recipient.
_OF_THE_MESSAGE = ("Open", "Click", "Subscription", "Subscription unsubscribeAll")


def events(value: Any) -> Found:
    """Yield an event for each recipient."""
    record = _unwrapped(value)
    event_type = text_at(record, "eventType") or text_at(record, "notificationType")
    if not event_type or not text_at(record, "mail", "messageId"):
        yield Refused("bad_record")
        return
    details = at(record, event_type.lower())
    if at(details, "newTopicPreferences", "unsubscribeAll") is True:
        event_type = "Subscription unsubscribeAll"
    recipients = _recipients(record, details)
    if event_type in _OF_THE_MESSAGE and len(recipients) > 1:
        yield Refused("unknown_recipient")
        return
    for email in recipients or [""]:
        yield _event(record, event_type, details, email)


def _unwrapped(value: Any) -> Any:
    """Return the record inside a notification of SNS."""
    message = text_at(value, "Message")
    if not message:
        return value
    try:
        return json.loads(message)
    except (ValueError, RecursionError):
        return None


def _recipients(record: Any, details: Any) -> list[str]:
    """Return the addresses that the event is about; those of the message if it names none."""
    named = list_at(details, "bouncedRecipients") + list_at(details, "complainedRecipients")
    if named:
        return [text_at(item, "emailAddress") for item in named]
    listed = list_at(details, "recipients") or list_at(record, "mail", "destination")
    return [item for item in listed if isinstance(item, str)]


def _event(record: Any, event_type: str, details: Any, email: str) -> RawEvent:
    tags = (list_at(record, "mail", "tags", name) for name in CAMPAIGN_TAGS)
    values = [tag[0] for tag in tags if tag]
    return RawEvent(
        event_type=event_type,
        time=text_at(details, "timestamp") or text_at(record, "mail", "timestamp"),
        email=email,
        campaign=str(values[0]) if values else "",
        data=with_values(
            messageId=text_at(record, "mail", "messageId"),
            feedbackId=text_at(details, "feedbackId"),
            url=text_at(details, "link"),
            bounceKind="soft" if text_at(details, "bounceType") == "Transient" else "",
        ),
    )


FORMAT = Format("ses", events, TYPES, LEFT_OUT)
