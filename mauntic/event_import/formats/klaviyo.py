"""Klaviyo: answers of the events API, `GET /api/events?include=profile,metric`.

A line is a whole answer: an event refers to its profile and its metric in `included`.
"""

from __future__ import annotations

from typing import Any

from delivery.providers.answers import list_at, text_at
from mauntic.event_import.event import RawEvent, Refused
from mauntic.event_import.formats.form import Format, Found, with_values

TYPES = {
    "Received Email": "email_delivered",
    "Opened Email": "email_opened",
    "Clicked Email": "email_clicked",
    "Bounced Email": "email_bounced",
    "Marked Email as Spam": "email_complained",
    "Unsubscribed": "email_unsubscribed",
    "Unsubscribed from Email Marketing": "email_unsubscribed",
}
LEFT_OUT = frozenset(("Dropped Email",))


def events(value: Any) -> Found:
    """Yield the events of an answer. A metric that is no e-mail keeps its name as its type."""
    if not isinstance(value, dict) or "data" not in value:
        yield Refused("bad_record")
        return
    included = {
        (text_at(item, "type"), text_at(item, "id")): item for item in list_at(value, "included")
    }
    data = value["data"]
    for found in data if isinstance(data, list) else [data]:
        profile = included.get(("profile", _related(found, "profile")))
        metric = included.get(("metric", _related(found, "metric")))
        if profile is None or metric is None:
            yield Refused("bad_record")
        else:
            yield _event(found, profile, metric)


def _related(found: Any, name: str) -> str:
    return text_at(found, "relationships", name, "data", "id")


def _event(found: Any, profile: Any, metric: Any) -> RawEvent:
    return RawEvent(
        event_type=text_at(metric, "attributes", "name"),
        time=text_at(found, "attributes", "datetime"),
        email=text_at(profile, "attributes", "email"),
        event_id=text_at(found, "id"),
        campaign=text_at(found, "attributes", "event_properties", "$message"),
        data=with_values(url=text_at(found, "attributes", "event_properties", "URL")),
    )


FORMAT = Format("klaviyo", events, TYPES, LEFT_OUT, keeps_types=True)
