"""The events of the platform, chosen by the seed, and the expected results.

The expected results are counted in plain Python, without the code under test.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

TYPES = (
    "email_sent", "email_delivered", "email_opened", "email_clicked", "page_visited",
    "content_download",
)  # fmt: skip
COUNTED = {
    "email_sent": "sent", "email_delivered": "delivered", "email_opened": "opened",
    "email_clicked": "clicked",
}  # fmt: skip
ORGANIZATIONS = [UUID(int=n << 120) for n in (1, 90, 200)]
CONTACTS = [UUID(int=1_000 + n) for n in range(6)]
SOURCES = [str(UUID(int=7)), str(UUID(int=8)).upper(), "not a campaign", None]
EVENTS_A_DAY = 14
EARLIER = 25
LATE, LATE_MAX_H = 0.3, 30
EDITED, EDITED_MAX_H = 0.25, 20
OPEN, OPEN_MAX_H = 0.05, 20  # transactions that stay open: the run a day later examines them again


@dataclass(frozen=True)
class Event:
    """`visible_at` is the time of its commit: usually a moment after its time of ingestion."""

    id: UUID
    organization_id: UUID
    contact_id: UUID
    event_type: str
    event_source: str | None
    occurred_at: datetime
    created_at: datetime
    visible_at: datetime


@dataclass(frozen=True)
class Edit:
    """A later change of an event, within a day of it; None for its deletion."""

    at: datetime
    event: Event
    became: Event | None


@dataclass
class History:
    """All changes of the platform in `[start, end)`."""

    start: datetime
    end: datetime
    events: list[Event] = field(default_factory=list)
    earlier: list[Event] = field(default_factory=list)  # before the first window
    edits: list[Edit] = field(default_factory=list)
    final: dict[UUID, Event | None] = field(default_factory=dict)  # of edits that were applied
    letters: list[tuple[datetime, Any]] = field(default_factory=list)
    counters: list[tuple[datetime, str]] = field(default_factory=list)

    @classmethod
    def draw(cls, rng: Random, start: datetime, days: int) -> History:
        history = cls(start, start + timedelta(days=days))
        history.events = [_event(rng, history) for _ in range(EVENTS_A_DAY * days)]
        history.edits = list(_edits(rng, history))
        history.earlier = [_earlier(rng, start) for _ in range(EARLIER)]
        history.letters = list(_letters(rng, start, days))
        history.counters = list(_counters(rng, start, days))
        return history

    def left(self) -> list[Event]:
        """Return the events in their final state."""
        events = [self.final.get(event.id, event) for event in self.events]
        return [event for event in events if event is not None]

    def day_rows(self) -> dict[tuple[UUID, date, str], tuple[int, int]]:
        """Map (organization, day, type) to (events, distinct contacts)."""
        return _counted(self.left(), lambda event: event.occurred_at.date())

    def month_rows(self, first: date, until: date) -> dict[tuple[UUID, date, str], tuple[int, int]]:
        """Return the same for a month, by its first day."""
        events = [event for event in self.left() if first <= event.occurred_at.date() < until]
        counted = _counted(events, lambda event: first)
        return {(org, day, f"monthly:{kind}"): n for (org, day, kind), n in counted.items()}

    def campaign_rows(self) -> dict[tuple[UUID, UUID, date], dict[str, int]]:
        """Map (campaign, organization, day) to its figures that are not 0."""
        figures: dict[tuple[UUID, UUID, date], Counter[str]] = defaultdict(Counter)
        seen: set[tuple[object, ...]] = set()
        for event in self.left():
            column = COUNTED.get(event.event_type)
            if column is None or event.event_source in (None, "not a campaign"):
                continue
            key = (UUID(event.event_source), event.organization_id, event.occurred_at.date())
            figures[key][column] += 1
            visit = (*key, column, event.contact_id)
            if column in ("opened", "clicked") and visit not in seen:
                seen.add(visit)
                figures[key][f"unique_{column}"] += 1
        return {key: dict(counter) for key, counter in figures.items()}

    def counters_left(self, today: date) -> set[str]:
        """Return the counters that must remain: today's, and those of unverified domains."""
        return {
            key
            for _, key in self.counters
            if key.split("/")[2] >= today.isoformat() or "/pending.example/" in key
        }


def _event(rng: Random, history: History) -> Event:
    span = (history.end - history.start).total_seconds()
    occurred = history.start + timedelta(seconds=rng.uniform(0, span))
    # Ingested, and found, within the month it belongs to: the month's row is set on its 1st day.
    next_month = _next_month(occurred)
    if rng.random() < LATE:
        latest = min(occurred + timedelta(hours=LATE_MAX_H), history.end, next_month)
        created = occurred + rng.random() * (latest - occurred) * 0.999
        visible = created
    else:
        created = occurred
        visible = occurred + timedelta(seconds=rng.choice([0, 0, 1, 20, 90]))
    if rng.random() < OPEN and created + timedelta(hours=25) < min(next_month, history.end):
        visible = created + timedelta(hours=rng.uniform(0, OPEN_MAX_H))
    return Event(
        UUID(int=rng.getrandbits(128)),
        rng.choice(ORGANIZATIONS),
        rng.choice(CONTACTS),
        rng.choice(TYPES),
        rng.choice(SOURCES),
        occurred,
        created,
        visible,
    )


def _edits(rng: Random, history: History) -> Iterator[Edit]:
    """Reclassify, merge, map to a campaign, or delete one of some events.

    Within its month, as events are ingested; a deletion is found a day later, so it comes earlier.
    """
    for event in history.events:
        latest = min(event.occurred_at + timedelta(hours=EDITED_MAX_H), history.end)
        latest = min(latest, _next_month(event.occurred_at))
        at = event.visible_at + timedelta(hours=rng.uniform(2, EDITED_MAX_H))
        if rng.random() > EDITED or at > latest:
            continue
        seen_at = event.occurred_at + timedelta(hours=30)
        is_seen = seen_at < _next_month(event.occurred_at) and seen_at < history.end
        became = rng.choice([
            replace(event, event_type=rng.choice(TYPES)),
            replace(event, contact_id=rng.choice(CONTACTS)),
            replace(event, event_source=rng.choice(SOURCES)),
            None if is_seen else replace(event, event_type=rng.choice(TYPES)),
        ])  # fmt: skip
        yield Edit(at, event, became)


def _next_month(at: datetime) -> datetime:
    return (at.replace(day=1) + timedelta(days=32)).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )


def _earlier(rng: Random, start: datetime) -> Event:
    """Activity of the previous month, some of which becomes too old to count during the
    simulation.
    """
    oldest, newest = start - timedelta(days=30), start.replace(day=1)
    at = oldest + rng.random() * (newest - oldest)
    return Event(
        UUID(int=rng.getrandbits(128)),
        rng.choice(ORGANIZATIONS),
        rng.choice(CONTACTS),
        rng.choice(TYPES),
        None,
        *(at, at, start),
    )


def _letters(rng: Random, start: datetime, days: int) -> Iterator[tuple[datetime, Any]]:
    """Invalid messages, each with a mark by which it is found again."""
    for n in range(3 * days):
        at = start + timedelta(hours=rng.uniform(0, 24 * days))
        mark = {"mark": f"poison-{n}"}
        yield (
            at,
            rng.choice(
                [
                    {"type": "analytics.nobody"} | mark,
                    {"type": None} | mark,
                    f"poison-{n} is no json {{",
                    [f"poison-{n}", "\0"],
                    {"type": "analytics.aggregate-hourly", "data": {"shards": 1}} | mark,
                    {"type": "analytics.aggregate-hourly", "scheduledFor": "9999-12-31T23:00:00Z"}
                    | mark,
                    {"type": "sim.probe", "scheduledFor": "2100-01-01T00:00:00Z"} | mark,
                ]
            ),
        )


def _counters(rng: Random, start: datetime, days: int) -> Iterator[tuple[datetime, str]]:
    """Warm-up counters as senders leave them, day by day."""
    for n in range(days):
        day = start + timedelta(days=n)
        for domain in ("verified.example", "pending.example", "gone.example"):
            at = day + timedelta(hours=rng.uniform(0, 23))
            yield at, f"warmup/daily/{day.date().isoformat()}/{ORGANIZATIONS[0]}/{domain}/00"


def _counted(events: list[Event], day_of: Any) -> dict[tuple[UUID, date, str], tuple[int, int]]:
    contacts: dict[tuple[UUID, date, str], list[UUID]] = defaultdict(list)
    for event in events:
        contacts[event.organization_id, day_of(event), event.event_type].append(event.contact_id)
    return {key: (len(seen), len(set(seen))) for key, seen in contacts.items()}
