"""The sample data as events and contacts: pure mappings, and a bulk load that can be repeated.

Ids derive from the rows: an interrupted or repeated import adds only what is missing.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple
from uuid import NAMESPACE_DNS, UUID, uuid5

from mauntic.database.url import connect
from mauntic.operations.statements import SQL
from mauntic.project.programs import ROOT
from shared.adapters.postgres.session import AS_COMMAND, begin

FOLDER = ROOT / "data"

NAMESPACE = uuid5(NAMESPACE_DNS, "sample-data.mauntic.example")
FASHION_SHOP = uuid5(NAMESPACE, "organisation/fashion shop")
RETAILER = uuid5(NAMESPACE, "organisation/retailer")
# Sources that are UUIDs are campaigns; the daily report counts by them.
CAMPAIGNS = {
    segment: uuid5(NAMESPACE, f"campaign/{segment}") for segment in ("Mens E-Mail", "Womens E-Mail")
}

# Hillstrom's customers have no times: each gets one from its position in the file. A day's last
# hour stays empty, so that all events of an e-mail or a visit are on the same day.
SENT_FROM = datetime(2019, 11, 16, tzinfo=UTC)
SENT_DURING = timedelta(hours=23)
VISITED_FROM = SENT_FROM + timedelta(days=1)
VISITED_DURING = timedelta(days=14) - timedelta(hours=1)
CUSTOMERS = 64_000
DELIVERED_AFTER = timedelta(seconds=2)
CLICKED_AFTER = timedelta(seconds=20)
PAGE_AFTER = timedelta(seconds=21)
BOUGHT_AFTER = timedelta(minutes=10)

# Time from an event to its ingestion: the last events of an hour arrive in the next, as in
# production.
INGESTED_AFTER = timedelta(seconds=2)

# Events and contacts of both files.
SAMPLE_ROWS = 203_754
ROWS_PER_CHUNK = 1_000
# https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"
COPY_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


class Event(NamedTuple):
    """One row of `analytics.contact_activity`. `event_id` is its key within the organization."""

    organization_id: UUID
    contact_id: UUID
    event_type: str
    event_source: str | None
    details: dict[str, Any] | None
    occurred_at: datetime
    event_id: str


class Contact(NamedTuple):
    """One row of `crm.contacts`; the sample data have no names or addresses."""

    contact_id: UUID
    organization_id: UUID
    custom_fields: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class Customer:
    """A parsed row of the Hillstrom file. `number` is its position, from 0; money is in US
    dollars.
    """

    number: int
    recency_months: int
    history_segment: str
    history: float
    bought_mens: bool
    bought_womens: bool
    zip_area: str
    is_new: bool
    channel: str
    segment: str
    visited: bool
    converted: bool
    spend: float

    @cached_property
    def id(self) -> UUID:
        return uuid5(NAMESPACE, f"hillstrom/customer/{self.number}")

    @property
    def campaign(self) -> UUID | None:
        """The e-mail that was sent; None for the third without one."""
        return CAMPAIGNS.get(self.segment)

    @property
    def sent_at(self) -> datetime:
        return SENT_FROM + SENT_DURING * self.number / CUSTOMERS

    @property
    def visited_at(self) -> datetime:
        """The start of the visit, if there was one."""
        return VISITED_FROM + VISITED_DURING * self.number / CUSTOMERS


class Imported(NamedTuple):
    """The numbers of new rows."""

    events: int
    contacts: int


Progress = Callable[[int], None]


def import_samples(url: str, advance: Progress = lambda rows: None) -> Imported:
    """Load both data sets. Several threads call `advance` with the number of rows that they
    read.
    """
    with ThreadPoolExecutor() as pool:  # while Postgres stores one of them, Python reads the next
        hillstrom = pool.submit(_in_connection, url, load_events, hillstrom_events(), advance)
        contacts = pool.submit(_in_connection, url, load_contacts, hillstrom_contacts(), advance)
        open_bandit = pool.submit(_in_connection, url, load_events, open_bandit_events(), advance)
    return Imported(hillstrom.result() + open_bandit.result(), contacts.result())


def _in_connection(
    url: str, load: Callable[..., int], rows: Iterable[Any], advance: Progress
) -> int:
    with closing(connect(url)) as connection:
        return load(connection, rows, advance)


def open_bandit_events() -> Iterator[Event]:
    """Yield every impression, and its click at the same time: the source has no time for a click.

    The source names the kind of campaign (`all`, `men`, `women`). This is no UUID, so the daily
    report of e-mail campaigns ignores it.
    """
    contacts: dict[str, UUID] = {}
    for number, row in enumerate(rows_of("open_bandit_random.csv.gz")):
        user = row["user"]
        contact = contacts.get(user) or contacts.setdefault(
            user, uuid5(NAMESPACE, f"open bandit/user/{user}")
        )
        at = datetime.fromisoformat(row["timestamp"]).astimezone(UTC)
        details = {"itemId": int(row["item_id"]), "position": int(row["position"])}
        source = f"recommendations:{row['campaign']}"
        for event in ("shown", "clicked") if row["click"] == "1" else ("shown",):
            event_type, key = f"recommendation_{event}", f"open-bandit/{number}/{event}"
            yield Event(FASHION_SHOP, contact, event_type, source, details, at, key)


def hillstrom_events() -> Iterator[Event]:
    """Yield every customer's events in this order: e-mail, visit, purchase."""
    for customer in hillstrom_customers():
        if customer.campaign:
            yield from _email_events(customer)
        if customer.visited:
            yield from _visit_events(customer)


def _email_events(customer: Customer) -> Iterator[Event]:
    yield _event(customer, "email_sent", customer.sent_at)
    yield _event(customer, "email_delivered", customer.sent_at + DELIVERED_AFTER)


def _visit_events(customer: Customer) -> Iterator[Event]:
    """The source has no opens and clicks: a customer with an e-mail and a visit did both."""
    at = customer.visited_at
    if customer.campaign:
        yield _event(customer, "email_opened", at)
        yield _event(customer, "email_clicked", at + CLICKED_AFTER)
    yield _event(customer, "page_visited", at + PAGE_AFTER)
    if customer.converted:
        spent = {"amount": customer.spend, "currency": "USD"}
        yield _event(customer, "conversion", at + BOUGHT_AFTER, spent)


def _event(
    customer: Customer, event_type: str, at: datetime, details: dict[str, Any] | None = None
) -> Event:
    source = str(customer.campaign) if customer.campaign else None
    key = f"hillstrom/{customer.number}/{event_type}"
    return Event(RETAILER, customer.id, event_type, source, details, at, key)


def hillstrom_contacts() -> Iterator[Contact]:
    """Yield one contact per customer, with the data from before the test."""
    for customer in hillstrom_customers():
        fields = {
            "recency_months": customer.recency_months,
            "history_segment": customer.history_segment,
            "history": customer.history,
            "bought_mens": customer.bought_mens,
            "bought_womens": customer.bought_womens,
            "zip_area": customer.zip_area,
            "is_new": customer.is_new,
            "channel": customer.channel,
            "test_segment": customer.segment,
        }
        yield Contact(customer.id, RETAILER, fields, SENT_FROM)


def hillstrom_customers() -> Iterator[Customer]:
    """Yield the parsed rows of the file, in its order."""
    for number, row in enumerate(rows_of("hillstrom.csv.gz")):
        yield Customer(
            number=number,
            recency_months=int(row["recency"]),
            history_segment=row["history_segment"],
            history=float(row["history"]),
            bought_mens=row["mens"] == "1",
            bought_womens=row["womens"] == "1",
            zip_area=row["zip_code"].replace("Surburban", "Suburban"),  # misspelled at the source
            is_new=row["newbie"] == "1",
            channel=row["channel"],
            segment=row["segment"],
            visited=row["visit"] == "1",
            converted=row["conversion"] == "1",
            spend=float(row["spend"]),
        )


def rows_of(name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a data file, by column."""
    with gzip.open(FOLDER / name, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def load_events(
    connection: Any, events: Iterable[Event], advance: Progress = lambda rows: None
) -> int:
    """Add the events that are missing, all or none; return their number."""
    return _load(connection, "events", map(_event_columns, events), advance)


def load_contacts(
    connection: Any, contacts: Iterable[Contact], advance: Progress = lambda rows: None
) -> int:
    """Add the contacts that are missing, all or none; return their number."""
    return _load(connection, "contacts", map(_contact_columns, contacts), advance)


def _event_columns(event: Event) -> tuple[Any, ...]:
    organization, contact, event_type, source, details, at, key = event
    identity = uuid5(organization, key)
    details_json = None if details is None else json.dumps(details)
    return (
        identity,
        organization,
        contact,
        event_type,
        source,
        details_json,
        at,
        at + INGESTED_AFTER,
        key,
    )


def _contact_columns(contact: Contact) -> tuple[Any, ...]:
    identity, organization, fields, created_at = contact
    return identity, organization, json.dumps(fields), created_at, created_at


def _load(connection: Any, table: str, rows: Iterator[tuple[Any, ...]], advance: Progress) -> int:
    connection.run(begin(AS_COMMAND))
    try:
        connection.run(SQL[f"stage_{table}"])
        connection.run(SQL[f"copy_{table}"], stream=_copy_chunks(rows, advance))
        connection.run(SQL[f"keep_new_{table}"])
        new = int(connection.row_count)
    except BaseException:
        connection.run("rollback")
        raise
    connection.run("commit")
    return new


def _copy_chunks(rows: Iterator[tuple[Any, ...]], advance: Progress) -> Iterator[bytes]:
    """Yield the rows in portions, in the text format of COPY, which is faster to write than CSV."""
    while portion := list(islice(rows, ROWS_PER_CHUNK)):
        yield "".join(["\t".join(map(_copy_text, row)) + "\n" for row in portion]).encode()
        advance(len(portion))


def _copy_text(value: object) -> str:
    """Return the value in the text format of COPY.

    >>> [_copy_text(value) for value in (None, 7, "a\\tb")]
    ['\\\\N', '7', 'a\\\\tb']
    """
    if isinstance(value, str):
        plain = value.isprintable() and "\\" not in value  # nearly always true, and fast to check
        return value if plain else value.translate(COPY_ESCAPES)
    return "\\N" if value is None else str(value)
