"""SendGrid: bodies of the Event Webhook.

A line is a body, which is a list of events, or one event.
"""

from __future__ import annotations

from typing import Any

from delivery.providers.answers import text_at
from mauntic.event_import.event import RawEvent, Refused
from mauntic.event_import.formats.form import Format, Found, with_values
from mauntic.event_import.times import SECONDS

TYPES = {
    "processed": "email_sent",
    "delivered": "email_delivered",
    "open": "email_opened",
    "click": "email_clicked",
    "bounce": "email_bounced",
    "spamreport": "email_complained",
    "unsubscribe": "email_unsubscribed",
    "group_unsubscribe": "email_unsubscribed",
}
LEFT_OUT = frozenset(("deferred", "dropped", "group_resubscribe", "account_status_change"))


def events(value: Any) -> Found:
    for found in value if isinstance(value, list) else [value]:
        if isinstance(found, dict) and text_at(found, "event"):
            yield _event(found)
        else:
            yield Refused("bad_record")


def _event(found: dict[str, Any]) -> RawEvent:
    return RawEvent(
        event_type=text_at(found, "event"),
        time=found.get("timestamp"),
        email=text_at(found, "email"),
        event_id=text_at(found, "sg_event_id"),
        campaign=text_at(found, "singlesend_id") or text_at(found, "marketing_campaign_id"),
        data=with_values(
            messageId=text_at(found, "sg_message_id"),
            url=text_at(found, "url"),
            machine=found.get("sg_machine_open") is True,
            bounceKind="soft" if text_at(found, "type") == "blocked" else "",
        ),
    )


FORMAT = Format("sendgrid", events, TYPES, LEFT_OUT, time=SECONDS)
