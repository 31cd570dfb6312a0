"""The expected tables of the analytics jobs, counted from the events in plain Python."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shared.ports import Row
from tests.workers.analytics.history import Event

Counts = dict[tuple[Any, ...], tuple[int, ...]]

# The columns of a campaign's day: the number of events, and of contacts.
COUNTED = ("sent", "delivered", "opened", "clicked", "bounced", "complained", "unsubscribed")
DISTINCT = ("opened", "clicked")


def rollups(events: Iterable[Event]) -> Counts:
    """Map (organization, day, type) to the number of events and of contacts."""
    return _counted(events, lambda one: one.occurred_at.date())


def usage(events: Iterable[Event]) -> Counts:
    """Map (organization, first of the month, type) to the number of events and of contacts."""
    return _counted(events, lambda one: one.occurred_at.date().replace(day=1))


def _counted(events: Iterable[Event], when: Callable[[Event], date]) -> Counts:
    contacts = defaultdict(list)
    for one in events:
        contacts[one.organization_id, when(one), one.event_type].append(one.contact_id)
    return {key: (len(found), len(set(found))) for key, found in contacts.items()}


def reports(events: Iterable[Event]) -> Counts:
    """Map (campaign, organization, day) to the figures in the order of `figures`."""
    days = defaultdict(list)
    for one in events:
        if one.source and _is_uuid(one.source):
            days[UUID(one.source), one.organization_id, one.occurred_at.date()].append(one)
    return {key: _figures(found) for key, found in days.items()}


def _figures(events: list[Event]) -> tuple[int, ...]:
    contacts = {
        name: [one.contact_id for one in events if one.event_type == f"email_{name}"]
        for name in COUNTED
    }
    return (
        *(len(contacts[name]) for name in COUNTED),
        *(len(set(contacts[name])) for name in DISTINCT),
    )


def figures(row: Row) -> tuple[int, ...]:
    """Return a stored row's figures, in the same order."""
    return (
        *(row[name] for name in COUNTED),
        *(row[f"unique_{name}"] for name in DISTINCT),
    )


def between(events: Iterable[Event], start: datetime, end: datetime) -> list[Event]:
    return [one for one in events if start <= one.occurred_at < end]


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
