"""`mauntic import`: events a second, next to plain COPY of the same rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import islice
from typing import Any
from uuid import UUID, uuid5

from bench.measure import Result, alternate, stopwatch
from bench.world import SQL, World
from mauntic.database.url import connect
from mauntic.event_import.formats.catalogue import FORMATS
from mauntic.event_import.formats.form import Format
from mauntic.event_import.lines import Source
from mauntic.event_import.mapping import MappingFile, format_of
from mauntic.event_import.prepare import Rules
from mauntic.event_import.run import Import
from mauntic.event_import.store import Store
from mauntic.operations.connection import database_at

EVENTS, EVENTS_A_CONTACT = 50_000, 10
ORGANIZATION = UUID(int=0xB)
START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("processed", "delivered", "open", "click")
TYPES = FORMATS["sendgrid"].types
# An eighth of the speed of plain COPY, which validates nothing. Most of the time is Python's.
SLOWDOWN_MAX = 8.0
CSV = format_of(
    "bench",
    MappingFile.model_validate(
        {
            "system": "bench",
            "columns": {
                "event_id": "id", "email": "email", "type": "type", "time": "at", "campaign": "of",
            },
            "types": TYPES,
        }
    ),
)  # fmt: skip


def run(world: World) -> list[Result]:
    """Import the same events as CSV and as JSON lines, and again; copy their rows."""
    url, count = world.empty("imports"), world.events(EVENTS)
    contacts = max(1, count // EVENTS_A_CONTACT)
    csv, lines = _csv(count, contacts), _json(count, contacts)
    with closing(connect(url)) as db:
        db.run(SQL["one_organization"], organization_id=ORGANIZATION, contacts=contacts)
        ids = [row[0] for row in db.run(SQL["contacts_by_number"], contacts=contacts)]
        rows = list(_portions(_rows(count, ids)))
        measured = alternate({
            "csv": lambda: _import_ms(_emptied(db, url), csv, CSV),
            "again": lambda: _import_ms(url, csv, CSV),
            "json": lambda: _import_ms(_emptied(db, url), lines, FORMATS["sendgrid"]),
            "copy": lambda: _copy_ms(_emptied(db, url), rows),
        }, rounds=5)  # fmt: skip
    rate = {name: count * 1_000 / sorted(ms)[len(ms) // 2] for name, ms in measured.items()}
    names = {"csv": "CSV with ids", "json": "JSON lines of SendGrid", "again": "the CSV again"}
    return [
        Result(
            f"{count:,} events of {contacts:,} contacts, {label}",
            measured[name],
            measured["copy"],
            SLOWDOWN_MAX,
            f"{rate[name]:,.0f} events a second; COPY {rate['copy']:,.0f}",
        )
        for name, label in names.items()
    ]


def _import_ms(url: str, text: bytes, form: Format) -> float:
    with closing(database_at(url)) as db:
        source = Source(BytesIO(text), "bench", len(text))
        rules = Rules(ORGANIZATION, form, datetime.now(UTC))
        importing = Import(source, rules, Store(db, ORGANIZATION))
        duration_ms = stopwatch(importing.run)
    counts = importing.counts
    if counts.refused or counts.repeated:
        raise RuntimeError(f"{counts.refused} and {counts.repeated} are not of this file")
    return duration_ms


def _emptied(db: Any, url: str) -> str:
    db.run("truncate analytics.contact_activity, crm.contact_changes")
    return url


def _copy_ms(url: str, portions: list[bytes]) -> float:
    with closing(connect(url)) as db:
        return stopwatch(lambda: db.run(SQL["copy_imported"], stream=iter(portions)))


def _events(count: int, contacts: int) -> Iterator[tuple[int, str, datetime]]:
    """Yield (contact, type, time) of each event."""
    for number in range(count):
        at = START + timedelta(seconds=number % 2_500_000)
        yield number * 7_919 % contacts, NAMES[number % len(NAMES)], at


def _csv(count: int, contacts: int) -> bytes:
    lines = ["id,email,type,at,of"]
    for number, (contact, name, at) in enumerate(_events(count, contacts)):
        lines.append(f"e{number},{_email(contact)},{name},{at.isoformat()},{number % 20}")
    return "\n".join(lines).encode()


def _json(count: int, contacts: int) -> bytes:
    """Return lines of 100 events, as the webhook sends them."""
    events = (
        {
            "email": _email(contact),
            "event": name,
            "timestamp": int(at.timestamp()),
            "sg_event_id": f"e{number}",
            "sg_message_id": f"m{contact}.filter0001",
            "singlesend_id": str(number % 20),
        }
        for number, (contact, name, at) in enumerate(_events(count, contacts))
    )
    lines = []
    while portion := list(islice(events, 100)):
        lines.append(json.dumps(portion))
    return "\n".join(lines).encode()


def _rows(count: int, ids: list[UUID]) -> Iterator[str]:
    """Yield the rows of the CSV in the text format of COPY."""
    for number, (contact, name, at) in enumerate(_events(count, len(ids))):
        campaign = uuid5(ORGANIZATION, f"bench/{number % 20}")
        data = json.dumps({"system": "bench", "campaign": str(number % 20)})
        values = (ORGANIZATION, ids[contact], TYPES[name], campaign, data, at, f"bench:e{number}")
        yield "\t".join(map(str, values)) + "\n"


def _portions(rows: Iterator[str]) -> Iterator[bytes]:
    while portion := list(islice(rows, 1_000)):
        yield "".join(portion).encode()


def _email(contact: int) -> str:
    return f"contact{contact + 1}@mail.example"
