"""Imports into a real Postgres, compared with plain Python over the source file."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from typing import IO, Any, cast
from uuid import UUID, uuid5

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.store import figures, hours
from analytics.store.hours import Hour
from mauntic.event_import.event import Event, Place
from mauntic.event_import.formats.form import Format
from mauntic.event_import.lines import Source
from mauntic.event_import.mapping import MappingFile, format_of
from mauntic.event_import.prepare import Rules
from mauntic.event_import.run import Import
from mauntic.event_import.store import Store, Stored
from mauntic.operations.connection import database_at
from mauntic.operations.statements import SQL
from shared.adapters.postgres.client import Postgres
from shared.errors import DatabaseError
from shared.windows import Window
from tests.mauntic.event_import.importing import (
    ANN,
    BOB,
    ORG,
    OTHER_ORG,
    add_contact,
    add_people,
    csv_text,
    data_of,
    import_text,
    rows,
)
from tests.roles import as_worker
from tests.thorough import examples

TYPES = {"open": "email_opened", "click": "email_clicked", "page": "page_visited"}
HEADER = "id,email,contact,action,at,mailing,link"


def form(*columns: str, **more: Any) -> Format:
    """Return the format of a mapping file with these columns of the header."""
    names = {
        "event_id": "id", "email": "email", "contact_id": "contact", "type": "action",
        "time": "at", "campaign": "mailing",
    }  # fmt: skip
    content = {
        "system": "acme",
        "columns": {name: names[name] for name in (*columns, "type", "time")},
        "types": TYPES,
        "left_out": ["queued"],
        **more,
    }
    return format_of("mapping", MappingFile.model_validate(content))


WITH_IDS = form("event_id", "email", "contact_id", "campaign")
WITHOUT_IDS = form("email", "campaign", data={"url": "link"})


@pytest.fixture
def db(database: str) -> Iterator[Postgres]:
    with closing(database_at(database)) as opened:
        add_people(opened)
        yield opened


def test_bad_rows_are_refused_with_their_places_and_the_others_are_stored(db: Postgres) -> None:
    text = csv_text(
        HEADER,
        [
            "1,ann@shop.example,,open,2024-01-01T10:00Z,7,",
            "2,unknown@shop.example,,open,2024-01-01T10:00Z,7,",
            "3,not an address,,open,2024-01-01T10:00Z,7,",
            "4,ann@shop.example,,opened,2024-01-01T10:00Z,7,",
            "5,ann@shop.example,,queued,2024-01-01T10:00Z,7,",
            "6,ann@shop.example,,open,2024-01-01 10:00,7,",
            "7,ann@shop.example",
            "1,ann@shop.example,,open,2024-01-01T10:00Z,7,",
            "1,ann@shop.example,,click,2024-01-01T10:00Z,7,",
            f"8,,{BOB},page,2024-01-01T11:00Z,,",
            f"9,,{UUID(int=0xC9)},page,2024-01-01T11:00Z,,",  # of another organization
            f"{'x' * 201},ann@shop.example,,open,2024-01-01T10:00Z,7,",
        ],
    )
    rejected: list[tuple[Place, str]] = []
    counts = import_text(db, text, WITH_IDS, rejected=rejected)
    assert [row[:2] + row[4:] for row in rows(db)] == [
        (ANN, "email_opened", "acme:1"),
        (BOB, "page_visited", "acme:8"),
    ]
    assert sorted((place.line, reason) for place, reason in rejected) == [
        (3, "unknown_contact"),
        (4, "no_contact"),
        (5, "unknown_type"),
        (7, "without_zone"),
        (8, "wrong_columns"),
        (10, "conflicting_id"),
        (12, "unknown_contact"),
        (13, "bad_event_id"),
    ]
    assert (counts.read, counts.new, counts.repeated) == (12, 2, 1)
    assert (counts.left_out, counts.refused.total()) == ({"queued": 1}, 8)
    assert counts.examples["unknown_contact"] == [Place(3), Place(12)]


def test_a_stored_event_with_another_time_is_a_conflict(db: Postgres) -> None:
    """An id that is the message's and not the event's must not swallow events in silence."""
    first = csv_text(HEADER, ["1,ann@shop.example,,open,2024-01-01T10:00Z,,"])
    second = csv_text(HEADER, ["1,ann@shop.example,,open,2024-01-02T10:00Z,,"])
    import_text(db, first, WITH_IDS)
    counts = import_text(db, second, WITH_IDS)
    assert (counts.new, counts.refused) == (0, {"conflicting_id": 1})


def test_an_address_of_several_contacts_is_refused(db: Postgres) -> None:
    add_contact(db, UUID(int=0xC3), "ANN@shop.example")
    counts = import_text(db, csv_text(HEADER, ["1,ann@shop.example,,open,2024-01-01T10:00Z,,"]),
                         WITH_IDS, create_contacts=True)  # fmt: skip
    assert counts.refused == {"ambiguous_contact": 1}


def test_addresses_are_compared_as_everywhere(db: Postgres) -> None:
    """Case and spaces do not matter; a domain may be written in Unicode or in ASCII."""
    add_contact(db, UUID(int=0xC3), "Zoe@Straße.example")
    add_contact(db, UUID(int=0xC4), "zoe@xn--bcher-kva.example")
    lines = [
        "1, ANN@Shop.Example ,,open,2024-01-01T10:00Z,,",
        "2,zoe@xn--strae-oqa.example,,open,2024-01-01T10:01Z,,",
        "3,zoe@Bücher.example,,open,2024-01-01T10:02Z,,",
    ]
    import_text(db, csv_text(HEADER, lines), WITH_IDS)
    assert [row[0] for row in rows(db)] == [ANN, UUID(int=0xC3), UUID(int=0xC4)]


def test_created_contacts_receive_nothing_and_belong_to_the_organization(db: Postgres) -> None:
    lines = [
        "1,New@shop.example,,open,2024-01-01T10:00Z,,",
        "2,new@shop.example,,click,2024-01-01T10:01Z,,",
        "3,ann@shop.example,,open,2024-01-01T10:02Z,,",
    ]
    text = csv_text(HEADER, lines)
    options = {"create_contacts": True, "batch_events": 1}
    planned = import_text(db, text, WITH_IDS, **options, dry_run=True)  # type: ignore[arg-type]
    counts = import_text(db, text, WITH_IDS, **options)  # type: ignore[arg-type]
    created = db.rows("select * from crm.contacts where email = 'new@shop.example'")
    [contact] = created
    assert (contact["organization_id"], contact["status"]) == (ORG, "do_not_contact")
    assert [row[0] for row in rows(db)] == [contact["id"], contact["id"], ANN]
    assert (counts.new, counts.contacts_created) == (3, 1)
    assert planned == counts


def test_days_before_the_retained_period_are_refused(db: Postgres) -> None:
    lines = [
        "1,ann@shop.example,,open,2023-12-31T23:59:59Z,,",
        "2,ann@shop.example,,open,2024-01-01T00:00:00Z,,",
    ]
    counts = import_text(db, csv_text(HEADER, lines), WITH_IDS, retained_since=date(2024, 1, 1))
    assert (counts.refused, [row[4] for row in rows(db)]) == ({"before_retention": 1}, ["acme:2"])


def test_the_scope_is_read_from_the_database(db: Postgres) -> None:
    [scope] = db.rows(SQL["import_scope"], organization_id=ORG)
    assert (scope["retained_since"], scope["may_create"]) == (None, True)
    db.rows("select ops.purged_before('2024-01-01')")
    [scope] = db.rows(SQL["import_scope"], organization_id=ORG)
    assert scope["retained_since"] == date(2024, 1, 1)


def test_the_data_of_an_event_can_always_be_stored(db: Postgres) -> None:
    link = '"https://x.example/?a=\\u0000\ud83d"'.replace("\ud83d", "\\ud83d")
    text = (
        '{"email": "ann@shop.example", "action": "open", "at": "2024-01-01T10:00Z",'
        f' "mailing": "7", "link": {link}}}\n'
    )
    counts = import_text(db, text, WITHOUT_IDS)
    assert counts.refused.total() == 0
    assert data_of(db)[0]["url"] == "https://x.example/?a=\ufffd?"


def test_the_workers_role_suffices_for_known_contacts(db: Postgres, database: str) -> None:
    """Creating a contact needs the owner's role: workers only read the platform's contacts."""
    text = csv_text(HEADER, ["1,ann@shop.example,,open,2024-01-01T10:00Z,7,"])
    unknown = csv_text(HEADER, ["2,new@shop.example,,open,2024-01-01T10:00Z,7,"])
    with closing(Postgres(lambda: as_worker(database))) as worker:
        assert worker.rows(SQL["import_scope"], organization_id=ORG)[0]["may_create"] is False
        assert import_text(worker, text, WITH_IDS).new == 1
        with pytest.raises(DatabaseError, match="permission denied for table contacts"):
            import_text(worker, unknown, WITH_IDS, create_contacts=True)


def test_concurrent_imports_of_the_same_rows_store_each_once(db: Postgres, database: str) -> None:
    """Also the contacts that they create, although no key of the table prevents it."""
    lines = [
        f"{number},new{number % 40}@shop.example,,open,2024-01-01T10:00:{number % 60:02}Z,,"
        for number in range(200)
    ]
    texts = [csv_text(HEADER, order) for order in (lines, lines[::-1], lines[100:] + lines[:100])]

    def run(text: str) -> int:
        with closing(database_at(database)) as own:
            return import_text(own, text, WITH_IDS, create_contacts=True, batch_events=17).new

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(run, texts)) == 200
    contacts = db.rows("select email from crm.contacts where email like 'new%'")
    assert Counter(row["email"] for row in contacts) == {
        f"new{number}@shop.example": 1 for number in range(40)
    }


def test_concurrent_imports_never_wait_for_each_other_in_a_circle(
    db: Postgres, database: str
) -> None:
    lines = [f"{number},ann@shop.example,,open,2024-01-01T10:00Z,," for number in range(4_000)]
    texts = [csv_text(HEADER, order) for order in (lines, lines[::-1])]
    start = Barrier(2)

    def run(text: str) -> int:
        with closing(database_at(database)) as own:
            own.open()
            start.wait(20)
            return import_text(own, text, WITH_IDS).new

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(run, texts)) == 4_000


PEOPLE = ["ann@shop.example", "Bob@Shop.example", "new@shop.example", "other@shop.example"]
LINE = st.tuples(
    st.sampled_from(PEOPLE),
    st.sampled_from(["open", "click", "page", "queued", "unknown"]),
    st.integers(0, 5),  # the minute, in two days
    st.sampled_from(["", "7", "8"]),
    st.sampled_from(["", "a", "b"]),
)


def line_of(drawn: tuple[str, str, int, str, str]) -> str:
    email, action, minute, mailing, link = drawn
    at = datetime(2024, 1, 1, 23, 57, tzinfo=UTC) + timedelta(minutes=minute)
    return f"0,{email},,{action},{at:%Y-%m-%dT%H:%M:%SZ},{mailing},{link}"


class Interrupted(Exception):
    """Stands for Ctrl-C, a crash or a lost connection."""


class Breaking:
    """A database that fails at its nth statement, before or after Postgres executes it."""

    def __init__(self, db: Postgres, after: int) -> None:
        self._db = db
        self._left = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def rows(self, sql: str, **parameters: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            raise Interrupted
        found = self._db.rows(sql, **parameters)
        if self._left == -1:
            raise Interrupted
        return found


def counted(text: str) -> Counter[tuple[str, str, date, str]]:
    """Count the events of a file in plain Python: each content once."""
    contents = {
        (row["email"].lower(), TYPES[row["action"]], row["at"], row["mailing"], row["link"])
        for row in csv.DictReader(io.StringIO(text))
        if row["action"] in TYPES
    }
    return Counter(
        (email, kind, datetime.fromisoformat(at).date(), mailing)
        for email, kind, at, mailing, _ in contents
    )


def stored(db: Postgres) -> Counter[tuple[str, str, date, str]]:
    found = db.rows(
        "select lower(btrim(email)) as email, event_type,"
        " (occurred_at at time zone 'UTC')::date as day,"
        " coalesce(event_data->>'campaign', '') as mailing"
        " from analytics.contact_activity as event join crm.contacts as contact"
        " on contact.id = event.contact_id and contact.organization_id = event.organization_id"
    )
    return Counter(tuple(row.values()) for row in found)


@settings(
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    lines=st.lists(LINE, max_size=25).map(lambda drawn: [line_of(one) for one in drawn]),
    cuts=st.lists(st.integers(0, 25), max_size=3),
    breaks=st.lists(st.integers(1, 12), max_size=3),
    batch_events=st.integers(1, 9),
)
def test_any_split_repetition_and_interruption_ends_in_the_same_rows(
    db: Postgres, lines: list[str], cuts: list[int], breaks: list[int], batch_events: int
) -> None:
    db.execute("delete from analytics.contact_activity")
    db.execute("delete from crm.contacts where status = 'do_not_contact'")
    text = csv_text(HEADER, lines)
    options = {"create_contacts": True, "batch_events": batch_events}
    planned = import_text(db, text, WITHOUT_IDS, **options, dry_run=True)  # type: ignore[arg-type]
    assert stored(db) == {}
    for after in breaks:
        with suppress(Interrupted):
            import_text(Breaking(db, after), text, WITHOUT_IDS, **options)  # type: ignore[arg-type]
    bounds = sorted(min(cut, len(lines)) for cut in cuts)
    for start, end in zip([0, *bounds], [*bounds, len(lines)], strict=True):
        if start < end:
            part = csv_text(HEADER, lines[start:end])
            import_text(db, part, WITHOUT_IDS, **options)  # type: ignore[arg-type]
    assert stored(db) == counted(text)
    again = import_text(db, text, WITHOUT_IDS, **options)  # type: ignore[arg-type]
    assert (again.new, again.contacts_created, again.stored_before) == (0, 0, planned.new)
    assert again.refused == planned.refused
    assert planned.by_type == Counter(kind for _, kind, _, _ in counted(text).elements())
    assert planned.by_day == Counter(day for _, _, day, _ in counted(text).elements())


def test_the_rollups_after_an_import_equal_plain_python(db: Postgres, database: str) -> None:
    """The hourly job of the hour of the import finds the late events of all days by itself."""
    lines = [
        f"{number},{PEOPLE[number % 2]},,{('open', 'click')[number % 3 == 0]},"
        f"{datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=7 * number):%Y-%m-%dT%H:%M:%SZ},7,"
        for number in range(60)
    ]
    add_contact(db, UUID(int=0xCA), "bob@shop.example", OTHER_ORG)
    import_text(db, csv_text(HEADER, lines), WITH_IDS)
    [created] = db.rows("select max(created_at) as at from analytics.contact_activity")
    hour = created["at"].replace(minute=0, second=0, microsecond=0)
    with closing(Postgres(lambda: as_worker(database))) as worker, worker.transaction():
        hours.book_hour(worker, Hour(Window(hour, hour + timedelta(hours=1))))
    people: dict[tuple[date, str], list[str]] = {}
    for row in csv.DictReader(io.StringIO(csv_text(HEADER, lines))):
        key = datetime.fromisoformat(row["at"]).date(), TYPES[row["action"]]
        people.setdefault(key, []).append(row["email"])
    rollups = db.rows("select * from analytics.daily_aggregates where organization_id = :o", o=ORG)
    assert {
        (row["date"], row["event_type"]): (row["count"], row["unique_count"]) for row in rollups
    } == {key: (len(emails), len(set(emails))) for key, emails in people.items()}


def test_the_report_after_an_import_joins_by_the_derived_campaign(
    db: Postgres, database: str
) -> None:
    """Two opens of one contact and one of another, of the same mailing; a click of another one."""
    lines = [
        "1,ann@shop.example,,open,2024-01-01T10:00Z,7,",
        "2,ann@shop.example,,open,2024-01-01T11:00Z,7,",
        "3,bob@shop.example,,open,2024-01-01T12:00Z,7,",
        "4,bob@shop.example,,click,2024-01-01T12:00Z,8,",
        "5,bob@shop.example,,click,2024-01-01T12:00Z,,",
    ]
    import_text(db, csv_text(HEADER, lines), WITH_IDS)
    day = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
    with closing(Postgres(lambda: as_worker(database))) as worker, worker.transaction():
        figures.report_days(worker, day, day, None)
    found = db.rows(
        "select * from analytics.campaign_daily_stats where organization_id = :o", o=ORG
    )
    assert {
        row["campaign_id"]: (row["opened"], row["unique_opened"], row["clicked"]) for row in found
    } == {uuid5(ORG, "acme/7"): (3, 2, 0), uuid5(ORG, "acme/8"): (0, 0, 1)}


class Nothing:
    """A store that keeps nothing."""

    def add(self, events: Sequence[Event]) -> Stored:
        return Stored(new=list(events))


def peak_bytes(events: int) -> int:
    """Return the most memory that an import of this many events uses, without the database."""

    def lines() -> Iterator[bytes]:
        yield f"{HEADER}\n".encode()
        for number in range(events):
            yield b"%d,ann@shop.example,,open,2024-01-01T10:00Z,7,\n" % number

    source = Source(cast(IO[bytes], Stream(lines())), "file", None)
    rules = Rules(ORG, WITH_IDS, datetime(2026, 3, 10, tzinfo=UTC))
    tracemalloc.start()
    try:
        Import(source, rules, cast(Store, Nothing()), batch_events=200).run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class Stream(io.RawIOBase):
    """A file whose content is generated while it is read."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = next(self._parts, b"")
        buffer[: len(part)] = part
        return len(part)


def test_memory_is_flat() -> None:
    """A hundred bytes more for each event would be 200,000."""
    small, large = peak_bytes(600), peak_bytes(2_600)
    assert large - small < 100_000
