"""Count what became of the rows of a file, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from mauntic.event_import.event import REASONS, Event, Place

EXAMPLES_MAX = 3
NAMES_MAX = 1_000  # types and campaigns that are listed by name
OTHERS = "(others)"
STOPS_MAIL = ("email_unsubscribed", "email_complained", "email_bounced")


@dataclass
class Counts:
    """The counts so far. `new` were stored, or would be in a dry run."""

    read: int = 0  # rows of the file
    new: int = 0
    stored_before: int = 0
    repeated: int = 0  # equal to an earlier event of the same file
    made_ids: int = 0  # new events whose id was made from their content
    contacts_created: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Place]] = field(default_factory=dict)
    by_type: Counter[str] = field(default_factory=Counter)
    by_day: Counter[date] = field(default_factory=Counter)
    # The days of all events of the file that are stored now, and of those with a source: an earlier
    # run of the command may have been interrupted before it could name its days.
    days: set[date] = field(default_factory=set)
    campaign_days: set[date] = field(default_factory=set)
    campaigns: dict[str, str] = field(default_factory=dict)  # ours by the system's id

    def refuse(self, place: Place, reason: str) -> None:
        self.refused[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < EXAMPLES_MAX:
            examples.append(place)

    def leave_out(self, event_type: str) -> None:
        _add(self.left_out, event_type)

    def add_stored_before(self, events: Iterable[Event]) -> None:
        """Count events that an earlier run has stored."""
        for event in events:
            self.stored_before += 1
            self._add_day(event)

    def _add_day(self, event: Event) -> None:
        day = event.occurred_at.date()
        self.days.add(day)
        if event.event_source:
            self.campaign_days.add(day)

    def add_new(self, events: Iterable[Event]) -> None:
        """Count events that are new."""
        for event in events:
            self._add_day(event)
            self.new += 1
            self.made_ids += event.has_made_id
            _add(self.by_type, event.event_type)
            self.by_day[event.occurred_at.date()] += 1
            if event.campaign and len(self.campaigns) < NAMES_MAX:
                self.campaigns[event.campaign] = event.event_source or ""

    @property
    def stops_mail(self) -> int:
        """The number of new events after which an address should receive nothing."""
        return sum(self.by_type[name] for name in STOPS_MAIL)

    def as_json(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return {
            "read": self.read,
            "new": self.new,
            "stored_before": self.stored_before,
            "repeated": self.repeated,
            "left_out": dict(sorted(self.left_out.items())),
            "refused": [
                {
                    "reason": reason,
                    "count": count,
                    "first": [place._asdict() for place in self.examples[reason]],
                    "remedy": REASONS[reason],
                }
                for reason, count in sorted(self.refused.items())
            ],
            "by_type": dict(sorted(self.by_type.items())),
            "by_day": {str(day): count for day, count in sorted(self.by_day.items())},
            "made_ids": self.made_ids,
            "contacts_created": self.contacts_created,
            "campaigns": dict(sorted(self.campaigns.items())),
        }


def _add(counter: Counter[str], name: str) -> None:
    counter[name if name in counter or len(counter) < NAMES_MAX else OTHERS] += 1
