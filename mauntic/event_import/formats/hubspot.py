"""HubSpot: answers of the e-mail events API, `GET /email/public/v1/events`.

A line is an answer with its `events`, or one event.
"""

from __future__ import annotations

from typing import Any

from delivery.providers.answers import list_at, text_at
from mauntic.event_import.event import RawEvent, Refused
from mauntic.event_import.formats.form import Format, Found, with_values
from mauntic.event_import.times import MILLISECONDS

TYPES = {
    "SENT": "email_sent",
    "DELIVERED": "email_delivered",
    "OPEN": "email_opened",
    "CLICK": "email_clicked",
    "BOUNCE": "email_bounced",
    "SPAMREPORT": "email_complained",
    "STATUSCHANGE UNSUBSCRIBED": "email_unsubscribed",
}
LEFT_OUT = frozenset(
    ("PROCESSED", "DROPPED", "DEFERRED", "FORWARD", "PRINT", "STATUSCHANGE", "SUPPRESSION",
     "UNBOUNCE")
)  # fmt: skip


def events(value: Any) -> Found:
    is_answer = isinstance(value, dict) and "events" in value
    for found in list_at(value, "events") if is_answer else [value]:
        if isinstance(found, dict) and text_at(found, "type"):
            yield _event(found)
        else:
            yield Refused("bad_record")


def _event(found: dict[str, Any]) -> RawEvent:
    event_id, created = text_at(found, "id"), text_at(found, "created")
    return RawEvent(
        event_type=_type(found),
        time=found.get("created"),
        email=text_at(found, "recipient"),
        # HubSpot identifies an event by both.
        event_id=f"{event_id}:{created}" if event_id else "",
        campaign=text_at(found, "emailCampaignId"),
        data=with_values(url=text_at(found, "url"), machine=found.get("filteredEvent") is True),
    )


def _type(found: dict[str, Any]) -> str:
    event_type = text_at(found, "type")
    statuses = [text_at(found, "portalSubscriptionStatus")]
    statuses += [text_at(item, "status") for item in list_at(found, "subscriptions")]
    if event_type == "STATUSCHANGE" and "UNSUBSCRIBED" in statuses:
        return "STATUSCHANGE UNSUBSCRIBED"
    return event_type


FORMAT = Format("hubspot", events, TYPES, LEFT_OUT, time=MILLISECONDS)
