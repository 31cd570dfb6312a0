"""Find the contacts of a batch, and store its events in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from delivery.domain.address import unicode_email
from mauntic.errors import OperatorError
from mauntic.event_import.event import Event
from mauntic.operations.statements import SQL
from shared.ports import Database

AMBIGUOUS, UNKNOWN = "ambiguous_contact", "unknown_contact"


@dataclass
class Stored:
    """The outcome of a batch. `refused` has the reason of each refused event."""

    new: list[Event] = field(default_factory=list)
    already: list[Event] = field(default_factory=list)
    refused: list[tuple[Event, str]] = field(default_factory=list)
    created: set[str] = field(default_factory=set)


class _Contacts(NamedTuple):
    """Contacts by address and by id; ambiguous addresses; addresses that were created."""

    by_address: dict[str, UUID]
    ids: set[UUID]
    ambiguous: set[str]
    created: set[str]


@dataclass(frozen=True)
class Store:
    """Writes the events of one organization. A dry run writes nothing and returns the same."""

    db: Database
    organization_id: UUID
    create_contacts: bool = False
    dry_run: bool = False

    def add(self, events: Sequence[Event]) -> Stored:
        """Store the events that are not stored yet. Their ids differ."""
        outcome = Stored()
        if not events:
            return outcome
        with self.db.transaction():
            contacts = self._contacts(events)
            outcome.created = contacts.created
            matched: list[tuple[Event, UUID]] = []
            for event in events:
                found = _contact_of(event, contacts)
                if isinstance(found, UUID):
                    matched.append((event, found))
                else:
                    outcome.refused.append((event, found))
            inserted = set() if self.dry_run else self._insert(matched)
            self._sort(matched, inserted, outcome)
        return outcome

    def _sort(self, matched: list[tuple[Event, UUID]], inserted: set[str], outcome: Stored) -> None:
        """Sort the events into new ones, stored ones, and those with the id of another event."""
        not_inserted = [event.event_id for event, _ in matched if event.event_id not in inserted]
        found = self._rows("stored_events", event_ids=not_inserted) if not_inserted else []
        stored = {row["event_id"]: row for row in found}
        for event, _ in matched:
            row = stored.get(event.event_id)
            if event.event_id in inserted or (self.dry_run and row is None):
                outcome.new.append(event)
            elif row is None:
                raise OperatorError("Another session deletes events of this import: run it again.")
            elif (row["event_type"], row["occurred_at"]) == (event.event_type, event.occurred_at):
                outcome.already.append(event)
            else:
                outcome.refused.append((event, "conflicting_id"))

    def _contacts(self, events: Iterable[Event]) -> _Contacts:
        addresses = sorted({event.email for event in events if event.email})
        ids = {event.contact_id for event in events if event.contact_id}
        if ids:
            ids = {row["id"] for row in self._rows("contacts_of_ids", ids=sorted(ids))}
        by_address, ambiguous = self._find(addresses)
        created: set[str] = set()
        missing = [text for text in addresses if text not in by_address and text not in ambiguous]
        if self.create_contacts and missing:
            if not self.dry_run:
                missing, more = self._create(missing, ambiguous)
                by_address |= more
            created = set(missing)
        return _Contacts(by_address, ids, ambiguous, created)

    def _find(self, addresses: Sequence[str]) -> tuple[dict[str, UUID], set[str]]:
        """Return the contacts by address, and the addresses of several contacts."""
        if not addresses:
            return {}, set()
        spellings = [(text, text) for text in addresses]
        spellings += [(text, other) for text in addresses if (other := unicode_email(text))]
        rows = self._rows(
            "contacts_of_addresses",
            addresses=[address for address, _ in spellings],
            spellings=[spelling for _, spelling in spellings],
        )
        return (
            {row["address"]: row["contact_id"] for row in rows if row["matches"] == 1},
            {row["address"] for row in rows if row["matches"] > 1},
        )

    def _create(self, missing: list[str], ambiguous: set[str]) -> tuple[list[str], dict[str, UUID]]:
        """Create the contacts that are still missing once no other import creates any."""
        self.db.execute(SQL["take_import_turn"], organization_id=self.organization_id)
        found, several = self._find(missing)
        ambiguous |= several
        created = [text for text in missing if text not in found and text not in several]
        rows = self._rows("create_contacts", addresses=created)
        return created, found | {row["address"]: row["contact_id"] for row in rows}

    def _insert(self, matched: Sequence[tuple[Event, UUID]]) -> set[str]:
        values = [_columns(event, contact_id) for event, contact_id in matched]
        rows = self._rows("import_events", events=json.dumps(values))
        return {row["event_id"] for row in rows}

    def _rows(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        return self.db.rows(SQL[name], organization_id=self.organization_id, **parameters)


def _contact_of(event: Event, contacts: _Contacts) -> UUID | str:
    """Return the contact, or the reason why there is none."""
    if event.contact_id:
        return event.contact_id if event.contact_id in contacts.ids else UNKNOWN
    if event.email in contacts.ambiguous:
        return AMBIGUOUS
    if event.email in contacts.created and event.email not in contacts.by_address:
        return UUID(int=0)  # a dry run creates none
    return contacts.by_address.get(event.email, UNKNOWN)


def _columns(event: Event, contact_id: UUID) -> dict[str, Any]:
    return {
        "contact_id": str(contact_id),
        "event_type": event.event_type,
        "event_source": event.event_source,
        "event_data": event.event_data,
        "occurred_at": event.occurred_at.isoformat(),
        "event_id": event.event_id,
    }
