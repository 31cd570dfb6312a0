"""Mailchimp: answers of the reports API 3.0, `GET /reports/{campaign_id}/…`.

A line is an answer of `email-activity`, `unsubscribed` or `abuse-reports`, or one member of its
list. Opens, clicks and bounces have no id.
"""

from __future__ import annotations

from typing import Any

from delivery.providers.answers import list_at, text_at
from mauntic.event_import.event import RawEvent, Refused
from mauntic.event_import.formats.form import Format, Found, with_values

TYPES = {
    "sent": "email_sent",
    "open": "email_opened",
    "click": "email_clicked",
    "bounce": "email_bounced",
    "unsubscribe": "email_unsubscribed",
    "abuse": "email_complained",
}


def events(value: Any) -> Found:
    for members in ("emails", "unsubscribes", "abuse_reports"):
        if isinstance(value, dict) and members in value:
            for member in list_at(value, members):
                yield from _of_member(member)
            return
    yield from _of_member(value)


def _of_member(member: Any) -> Found:
    email, campaign = text_at(member, "email_address"), text_at(member, "campaign_id")
    if not email or not campaign:
        yield Refused("bad_record")
    elif "activity" in member:
        for action in list_at(member, "activity"):
            yield _action(email, campaign, action)
    elif "date" in member:  # only an abuse report has an id
        report_id = text_at(member, "id")
        event_id = f"abuse:{campaign}:{report_id}" if report_id else ""
        yield RawEvent(
            event_type="abuse",
            time=member["date"],
            email=email,
            campaign=campaign,
            event_id=event_id,
        )
    elif "timestamp" in member:
        yield RawEvent(
            event_type="unsubscribe", time=member["timestamp"], email=email, campaign=campaign
        )
    else:
        yield Refused("bad_record")


def _action(email: str, campaign: str, action: Any) -> RawEvent | Refused:
    event_type = text_at(action, "action")
    if not event_type:
        return Refused("bad_record")
    bounce_kind = text_at(action, "type") if event_type == "bounce" else ""
    return RawEvent(
        event_type=event_type,
        time=action.get("timestamp"),
        email=email,
        campaign=campaign,
        data=with_values(url=text_at(action, "url"), bounceKind=bounce_kind),
    )


FORMAT = Format("mailchimp", events, TYPES)
