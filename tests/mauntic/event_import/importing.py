"""Import texts into a database as the command does, and read the rows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from mauntic.event_import.counts import Counts
from mauntic.event_import.event import Place
from mauntic.event_import.formats.form import Format
from mauntic.event_import.lines import Source
from mauntic.event_import.prepare import Rules
from mauntic.event_import.run import Import
from mauntic.event_import.store import Store
from mauntic.event_import.times import Ambiguous
from shared.ports import Database

ORG = UUID("00000000-0000-0000-0000-0000000000a1")
OTHER_ORG = UUID("00000000-0000-0000-0000-0000000000a2")
ANN = UUID("00000000-0000-0000-0000-0000000000c1")
BOB = UUID("00000000-0000-0000-0000-0000000000c2")
NOW = datetime(2026, 3, 10, 11, tzinfo=UTC)

Row = tuple[UUID, str, str | None, datetime, str]


def add_contact(db: Database, contact: UUID, email: str, organization: UUID = ORG) -> None:
    db.execute(
        "insert into crm.contacts (id, organization_id, email) values (:id, :organization, :email)",
        id=contact, organization=organization, email=email,
    )  # fmt: skip


def add_people(db: Database) -> None:
    """Two contacts, and one of another organization with the address of the first."""
    add_contact(db, ANN, " Ann@shop.example")
    add_contact(db, BOB, "bob@shop.example")
    add_contact(db, UUID(int=0xC9), "ann@shop.example", OTHER_ORG)


def import_text(
    db: Database,
    text: str | bytes,
    form: Format,
    *,
    zone: str | None = None,
    ambiguous: Ambiguous = "refuse",
    create_contacts: bool = False,
    dry_run: bool = False,
    batch_events: int = 5_000,
    retained_since: date = date.min,
    rejected: list[tuple[Place, str]] | None = None,
) -> Counts:
    """Import the text. Refused places go to `rejected`."""
    raw = text if isinstance(text, bytes) else text.encode()
    rules = Rules(ORG, form, NOW, ZoneInfo(zone) if zone else None, ambiguous, retained_since)
    places = [] if rejected is None else rejected
    return Import(
        Source(io.BytesIO(raw), "file", len(raw)),
        rules,
        Store(db, ORG, create_contacts, dry_run),
        lambda place, reason: places.append((place, reason)),
        batch_events,
    ).run()


def rows(db: Database, organization: UUID = ORG) -> list[Row]:
    """Return the stored events in the order of time and id."""
    found = db.rows(
        "select * from analytics.contact_activity where organization_id = :organization"
        " order by occurred_at, event_id",
        organization=organization,
    )
    names = ("contact_id", "event_type", "event_source", "occurred_at", "event_id")
    return [tuple(row[name] for name in names) for row in found]


def data_of(db: Database) -> list[Any]:
    """Return the `event_data` in the same order."""
    found = db.rows(
        "select event_data from analytics.contact_activity order by occurred_at, event_id"
    )
    return [row["event_data"] for row in found]


def csv_text(header: str, lines: Sequence[str]) -> str:
    return "\n".join((header, *lines)) + "\n"
