"""The sample data in Postgres, compared with counts of plain Python."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError

from mauntic.database.url import connect
from mauntic.demo.expected import PUBLISHED, ExpectedCounts, count_files
from mauntic.demo.importer import (
    CAMPAIGNS,
    RETAILER,
    SAMPLE_ROWS,
    Contact,
    Event,
    Imported,
    hillstrom_contacts,
    hillstrom_customers,
    hillstrom_events,
    import_samples,
    load_contacts,
    load_events,
    open_bandit_events,
)
from tests.thorough import examples

AT = datetime(2019, 11, 20, 12, tzinfo=UTC)
ORGANIZATIONS = [UUID(int=1), UUID(int=2)]

BY_DAY = """
    select organization_id, (occurred_at at time zone 'UTC')::date, event_type,
        count(*), count(distinct contact_id)
    from analytics.contact_activity
    group by 1, 2, 3
"""


@pytest.fixture(scope="module")
def counted() -> ExpectedCounts:
    return count_files()


@pytest.fixture(scope="module")
def mailing() -> list[Event]:
    return list(hillstrom_events())


@pytest.fixture
def connection(database: str) -> Iterator[Any]:
    with closing(connect(database)) as connection:
        yield connection


def stored(connection: Any) -> list[Any]:
    """Every event, each as text."""
    rows: list[Any] = connection.run(
        "select a::text from analytics.contact_activity as a order by id"
    )
    return [row for (row,) in rows]


def test_every_day_holds_what_the_files_hold(database: str, counted: ExpectedCounts) -> None:
    read: list[int] = []
    assert import_samples(database, read.append) == Imported(events=139_754, contacts=64_000)
    assert sum(read) == SAMPLE_ROWS
    with closing(connect(database)) as connection:
        found = {
            (org, day, kind): (n, unique) for org, day, kind, n, unique in connection.run(BY_DAY)
        }
    assert found == counted.days()


def test_the_counts_are_those_that_were_published(counted: ExpectedCounts) -> None:
    kinds: Counter[str] = Counter()
    for (_, _, kind), (count, _) in counted.days().items():
        kinds[kind] += count
    assert kinds == {
        "recommendation_shown": 30_000,
        "recommendation_clicked": 38 + 46 + 46,
        "email_sent": 21_307 + 21_387,
        "email_delivered": 21_307 + 21_387,
        "email_opened": 3_894 + 3_238,
        "email_clicked": 3_894 + 3_238,
        "page_visited": 3_894 + 3_238 + 2_262,
        "conversion": 267 + 189 + 122,
    }
    for name, (customers, visits, _) in PUBLISHED.items():
        campaign = CAMPAIGNS[name]
        assert (counted.delivered[campaign], counted.clicked[campaign]) == (customers, visits)


def test_a_month_counts_a_contact_once(counted: ExpectedCounts) -> None:
    november = {kind: totals for (_, _, kind), totals in counted.months().items()}
    assert november["monthly:recommendation_shown"] == (30_000, 296)
    assert november["monthly:email_sent"] == (42_694, 42_694)


def test_every_segment_buys_as_published() -> None:
    customers = list(hillstrom_customers())
    bought = Counter(one.segment for one in customers if one.converted)
    assert bought == {"Mens E-Mail": 267, "Womens E-Mail": 189, "No E-Mail": 122}
    assert len({one.id for one in customers}) == 64_000
    assert {one.zip_area for one in customers} == {"Suburban", "Rural", "Urban"}


def test_every_event_has_a_contact_and_follows_its_cause(mailing: list[Event]) -> None:
    sent: dict[UUID, datetime] = {}
    campaigns = {str(campaign) for campaign in CAMPAIGNS.values()}
    for event in mailing:
        assert event.organization_id == RETAILER
        if event.event_type == "email_sent":
            sent[event.contact_id] = event.occurred_at
        elif event.contact_id in sent:
            assert event.event_source in campaigns
            lag = event.occurred_at - sent[event.contact_id]
            assert timedelta() < lag < timedelta(days=15)
        else:
            assert event.event_source is None
    assert {at.date().isoformat() for at in sent.values()} == {"2019-11-16"}


def test_everything_lies_in_one_month(mailing: list[Event]) -> None:
    moments = [event.occurred_at for event in (*mailing, *open_bandit_events())]
    assert datetime(2019, 11, 16, tzinfo=UTC) <= min(moments)
    assert max(moments) < datetime(2019, 12, 1, tzinfo=UTC)


def test_impressions_keep_their_times_and_sources_that_are_no_campaigns() -> None:
    first = next(open_bandit_events())
    assert first.occurred_at == datetime(2019, 11, 24, 0, 0, 34, 762830, tzinfo=UTC)
    assert first.details == {"itemId": 14, "position": 3}
    assert first.event_source == "recommendations:all"


def test_importing_twice_changes_nothing(connection: Any) -> None:
    part = list(islice(hillstrom_events(), 3_000))
    assert load_events(connection, part[:1_700]) == 1_700
    before = stored(connection)
    assert load_events(connection, part[:1_700]) == 0
    assert stored(connection) == before
    assert load_events(connection, part) == 1_300  # what an interrupted import had left out
    ids = {identity for [identity] in connection.run("select id from analytics.contact_activity")}
    assert ids == {uuid5(event.organization_id, event.event_id) for event in part}


def test_events_are_ingested_on_time_shortly_after_they_occurred(connection: Any) -> None:
    load_events(connection, islice(open_bandit_events(), 500))
    [[shortest, longest]] = connection.run(
        "select min(created_at - occurred_at), max(created_at - occurred_at)"
        " from analytics.contact_activity"
    )
    assert shortest == longest == timedelta(seconds=2)


def test_contacts_tell_what_was_known_before_the_test_and_no_personal_data(connection: Any) -> None:
    assert load_contacts(connection, islice(hillstrom_contacts(), 2)) == 2
    [[fields, *personal]] = connection.run(
        "select custom_fields, email, phone, first_name, last_name from crm.contacts"
        " where custom_fields ->> 'history' = '329.08'"
    )
    assert personal == [None, None, None, None]
    assert fields == {
        "recency_months": 6, "history_segment": "3) $200 - $350", "history": 329.08,
        "bought_mens": True, "bought_womens": True, "zip_area": "Rural", "is_new": True,
        "channel": "Web", "test_segment": "No E-Mail",
    }  # fmt: skip


def test_a_contact_that_was_edited_is_left_alone(connection: Any) -> None:
    contact = Contact(UUID(int=7), ORGANIZATIONS[0], {"seniority": "vp"}, AT)
    assert load_contacts(connection, [contact]) == 1
    connection.run('update crm.contacts set custom_fields = \'{"seniority": "c_level"}\'')
    assert load_contacts(connection, [contact]) == 0
    assert connection.run("select custom_fields from crm.contacts") == [[{"seniority": "c_level"}]]


def test_an_import_that_fails_leaves_nothing_and_the_connection_usable(connection: Any) -> None:
    events = list(islice(open_bandit_events(), 10))
    with pytest.raises(DatabaseError):
        load_events(
            connection, [*events, events[0]._replace(event_type="x" * 101, event_id="long")]
        )
    assert stored(connection) == []
    assert load_events(connection, events) == 10


TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20
)
EVENTS = st.builds(
    Event,
    organization_id=st.sampled_from(ORGANIZATIONS),
    contact_id=st.uuids(),
    event_type=TEXTS,
    event_source=st.none() | TEXTS,
    details=st.none() | st.dictionaries(TEXTS, TEXTS, max_size=3),
    occurred_at=st.datetimes(datetime(2019, 1, 1), datetime(2021, 1, 1), timezones=st.just(UTC)),
    event_id=TEXTS,
)


@settings(
    max_examples=examples(30),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(events=st.lists(EVENTS, max_size=8), cut=st.integers(0, 8), order=st.randoms())
def test_any_text_survives_and_any_repetition_in_any_order_ends_the_same(
    connection: Any, events: list[Event], cut: int, order: Any
) -> None:
    """Tabs, backslashes, quotes, new lines: the stored text equals the read text, once for each
    key.
    """
    connection.run("delete from analytics.contact_activity")
    unique = {(event.organization_id, event.event_id): event for event in events}
    shuffled = list(unique.values())
    load_events(connection, shuffled[:cut])
    order.shuffle(shuffled)
    load_events(connection, shuffled)
    load_events(connection, shuffled[::-1])
    rows = connection.run(
        "select organization_id, contact_id, event_type, event_source, event_data, occurred_at,"
        " event_id from analytics.contact_activity"
    )
    assert sorted(map(_comparable, rows)) == sorted(map(_comparable, unique.values()))


def _comparable(event: Any) -> str:
    return json.dumps(
        [*map(str, event[:4]), event[4], event[5].isoformat(), event[6]], sort_keys=True
    )
