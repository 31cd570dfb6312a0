"""The hourly job on a real Postgres, compared with counts in plain Python."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.store import hours, statements
from analytics.store.hours import Hour
from tests.thorough import examples
from tests.workers.analytics.warehouse import DAY, Warehouse, at, hour_window, org


def test_counts_events_and_the_distinct_contacts_of_the_whole_day(warehouse: Warehouse) -> None:
    for hour, contact in ((9.1, 1), (9.2, 2), (10.1, 1), (10.2, 1), (10.3, 3)):
        warehouse.add(1, contact, "email_opened", at(hour))
    warehouse.run(hour_window(9))
    warehouse.run(hour_window(10))
    assert warehouse.rollups() == {(str(org(1)), "2026-03-10", "email_opened"): (5, 3)}


def test_a_repeated_run_writes_nothing(warehouse: Warehouse) -> None:
    warehouse.add(1, 1, "email_opened", at(9.5))
    assert warehouse.run(hour_window(9)).rows_written == 2
    assert warehouse.run(hour_window(9)).rows_written == 0
    assert warehouse.rollups() == warehouse.counted()


def test_events_that_arrive_late_correct_their_day(warehouse: Warehouse) -> None:
    warehouse.add(1, 1, "email_opened", at(9.5))
    warehouse.add(1, 2, "email_opened", at(11.5))
    for hour in (9, 10, 11):
        warehouse.run(hour_window(hour))
    warehouse.add(1, 2, "email_opened", at(10.5), created=at(12.5))
    warehouse.add(1, 9, "email_sent", at(-20), created=at(12.5))
    warehouse.run(hour_window(12))
    assert warehouse.rollups() == warehouse.counted()


def test_a_late_event_costs_a_cell_and_a_day_whatever_its_hour_holds(warehouse: Warehouse) -> None:
    for contact in range(20):
        warehouse.add(1, contact, "email_opened", at(9.5))
        warehouse.add(2, contact, "email_opened", at(10.5))
    for hour in (9, 10, 11):
        warehouse.run(hour_window(hour))
    warehouse.add(1, 3, "email_opened", at(9.6), created=at(12.1))  # seen before
    warehouse.add(2, 77, "email_opened", at(9.6), created=at(12.1))  # new
    booked = warehouse.run(hour_window(12))
    assert (booked.rows_read, booked.rows_written) == (2, 4)
    assert warehouse.rollups() == warehouse.counted()


@pytest.mark.parametrize("late", [False, True])
def test_a_day_that_nobody_has_booked_is_booked_whole(warehouse: Warehouse, late: bool) -> None:
    """A worker's first hour, or a late event of an earlier day, sets no day to a part."""
    for hour in (-21.5, -20.5, -3.5, 3.5, 8.5, 9.5):
        warehouse.add(1, round(hour), "email_opened", at(hour))
    if late:
        warehouse.add(1, 9, "email_opened", at(-20.4), created=at(9.9))
    warehouse.run(hour_window(9))
    day, before = ((str(org(1)), f"2026-03-{n:02}", "email_opened") for n in (10, 9))
    counted = warehouse.counted()
    assert warehouse.rollups() == (counted if late else {day: counted[day]})
    assert counted[before] == ((4, 4) if late else (3, 3))


def test_the_hour_before_is_looked_at_again_only_if_it_was_booked(warehouse: Warehouse) -> None:
    warehouse.add(1, 1, "email_opened", at(-0.5))
    warehouse.add(1, 1, "email_opened", at(0.5))
    warehouse.run(hour_window(0))
    assert list(warehouse.rollups()) == [(str(org(1)), "2026-03-10", "email_opened")]


def test_events_of_the_last_hour_that_were_only_just_ingested_count(warehouse: Warehouse) -> None:
    warehouse.add(1, 1, "email_opened", at(9.5), created=at(11.2))
    warehouse.run(hour_window(9))
    assert warehouse.rollups() == warehouse.counted()


def test_an_event_that_came_too_late_for_a_run_that_is_late_itself(warehouse: Warehouse) -> None:
    """The run of 9:00 already sees an event that the next run has to book."""
    warehouse.add(1, 1, "email_opened", at(9.5))
    warehouse.run(hour_window(8))
    warehouse.add(1, 1, "email_opened", at(8.5), created=at(10.2))
    warehouse.run(hour_window(9))
    warehouse.run(hour_window(10))
    assert warehouse.rollups() == {(str(org(1)), "2026-03-10", "email_opened"): (2, 1)}


def test_midnight_books_into_the_day_that_ended(warehouse: Warehouse) -> None:
    warehouse.add(1, 1, "email_opened", at(23.99))
    warehouse.add(1, 1, "email_opened", at(24))
    warehouse.run(hour_window(23))
    assert warehouse.rollups() == {(str(org(1)), "2026-03-10", "email_opened"): (1, 1)}


def test_a_bucket_that_lost_its_last_event_becomes_zero(warehouse: Warehouse) -> None:
    gone = warehouse.add(1, 1, "email_opened", at(9.5), created=at(12))
    warehouse.run(hour_window(9))
    warehouse.delete(gone)
    warehouse.run(hour_window(9))
    [row] = warehouse.db.rows("select count, unique_count from analytics.event_aggregates")
    assert (row["count"], row["unique_count"]) == (0, 0)


def test_a_backfill_sets_a_row_that_no_event_bears_out_to_zero(warehouse: Warehouse) -> None:
    """And no other run changes it: a month's row stays."""
    for kind, day in (("email_sent", "2026-03-10"), ("monthly:email_sent", "2026-03-10")):
        warehouse.db.execute(
            "insert into analytics.event_aggregates"
            " (organization_id, date, event_type, count, unique_count)"
            " values (:organization, :day, :kind, 5, 4)",
            organization=org(1), day=day, kind=kind,
        )  # fmt: skip
    warehouse.add(1, 1, "email_opened", at(9.5))
    warehouse.run(hour_window(9))
    assert (str(org(1)), "2026-03-10", "email_sent") in warehouse.rollups()
    warehouse.run(hour_window(9), recount=True)
    month = {(str(org(1)), "2026-03-10", "monthly:email_sent"): (5, 4)}
    assert warehouse.rollups() == warehouse.counted() | month


def test_a_deleted_first_visit_moves_to_the_later_hour(warehouse: Warehouse) -> None:
    gone = warehouse.add(1, 1, "email_opened", at(9.5))
    warehouse.add(1, 2, "email_opened", at(9.6))
    warehouse.add(1, 1, "email_opened", at(11.5))
    for hour in (9, 10, 11):
        warehouse.run(hour_window(hour))
    warehouse.delete(gone)
    warehouse.run(hour_window(9))
    assert warehouse.rollups() == warehouse.counted()


def test_events_committed_after_their_hour_was_counted_are_found_by_the_next_run(
    warehouse: Warehouse,
) -> None:
    warehouse.add(1, 1, "email_opened", at(9.1))
    warehouse.run(hour_window(9))
    warehouse.add(1, 2, "email_opened", at(9.99))  # created in its own hour, visible only now
    warehouse.run(hour_window(10))
    assert warehouse.rollups() == warehouse.counted()


@pytest.mark.parametrize("alone", [False, True])
def test_also_where_the_hour_or_its_whole_day_had_no_event(
    warehouse: Warehouse, alone: bool
) -> None:
    """At midnight only the ledger distinguishes a day without events from an unbooked one."""
    if not alone:
        warehouse.add(1, 1, "email_opened", at(13))
        warehouse.run(hour_window(13))
    for hour in (22, 23):
        warehouse.run(hour_window(hour))
    warehouse.note(hour_window(23))
    warehouse.add(1, 2, "email_opened", at(23.99))  # visible only now
    warehouse.run(hour_window(24))
    assert warehouse.rollups() == warehouse.counted()


@pytest.mark.parametrize("late", [False, True])
def test_events_committed_within_a_day_of_their_ingestion_are_found(
    warehouse: Warehouse, late: bool
) -> None:
    """A transaction that was open for hours: the run a day later examines them again."""
    warehouse.add(1, 1, "email_opened", at(9.1))
    warehouse.add(1, 1, "email_opened", at(-20))
    for hour in range(-24, 33):
        warehouse.run(hour_window(hour))
        warehouse.note(hour_window(hour))
    created = at(9.9)  # by its own clock, visible only now
    warehouse.add(1, 2, "email_opened", at(-20) if late else at(9.5), created)
    gone = warehouse.add(1, 3, "email_opened", at(9.6))
    warehouse.run(hour_window(33))
    assert warehouse.rollups() == warehouse.counted()
    warehouse.delete(gone)
    warehouse.run(hour_window(33))
    assert warehouse.rollups() == warehouse.counted()


@pytest.mark.parametrize("other", [1, 2])
@pytest.mark.parametrize("hour", [9.2, -20.8])
def test_as_many_deleted_as_late_events_are_still_noticed(
    warehouse: Warehouse, hour: float, other: int
) -> None:
    """By the next run if they belong to two tenants, else a day after their ingestion."""
    for tenant in (1, 2):
        warehouse.add(tenant, 1, "email_opened", at(1.5))
        warehouse.add(tenant, 1, "email_opened", at(-21.5))
    gone = warehouse.add(1, 2, "email_opened", at(hour), created=at(9.3))
    for n in range(-22, 33):
        if n == 10:
            warehouse.delete(gone)
            warehouse.add(other, 1, "email_opened", at(hour), created=at(9.99))
        warehouse.run(hour_window(n))
        warehouse.note(hour_window(n))
    assert (warehouse.rollups() == warehouse.counted()) == (other == 2)
    warehouse.run(hour_window(33))
    assert warehouse.rollups() == warehouse.counted()


def test_a_run_that_surveyed_long_ago_touches_no_day_that_it_does_not_set(
    warehouse: Warehouse,
) -> None:
    """Between its survey and its booking another run has booked a late event that is deleted by
    now.
    """
    for hour in (-20.5, 3.5):
        warehouse.add(1, 1, "email_opened", at(hour))
    for hour in (-21, -1, 3, 8, 9):
        warehouse.run(hour_window(hour))
    warehouse.add(1, 1, "email_opened", at(9.5), created=at(10.1))
    other = Warehouse(warehouse.url)
    with closing(other.db), closing(other.worker), warehouse.worker.transaction():
        tenth = Hour(hour_window(10))
        found = hours.list_work(warehouse.worker, tenth)
        other.rng.seed(99)
        late = other.add(1, 9, "email_opened", at(-20.4), created=at(10.9))
        other.run(hour_window(11))
        other.delete(late)
        hours.take_turn(warehouse.worker, tenth, found["was_compared"])
        hours.book(warehouse.worker, tenth, hours.size(warehouse.worker))
    for hour in (10, 11, 12):
        warehouse.run(hour_window(hour))
    assert warehouse.rollups() == warehouse.counted()


def test_an_ordinary_hour_is_counted_before_its_turn_and_not_once_more(
    warehouse: Warehouse,
) -> None:
    for hour in (8.5, 9.2, 9.5):
        warehouse.add(1, 1, "email_opened", at(hour))
    warehouse.run(hour_window(8))
    with warehouse.db.transaction():
        ninth = Hour(hour_window(9))
        hours.survey(warehouse.db, ninth)
        found = hours.size(warehouse.db)
        assert found == hours.Size(events=2, fresh_events=0, has_looks=False)
        assert hours.book(warehouse.db, ninth, found).rows_written == 2  # a cell and a rollup
    assert warehouse.rollups() == warehouse.counted()


@pytest.mark.parametrize("has_been_booked", [False, True])
def test_what_was_counted_before_another_run_had_the_turn_is_counted_once_more(
    warehouse: Warehouse, has_been_booked: bool
) -> None:
    """The other run books an earlier visit of the same contact."""
    if has_been_booked:
        warehouse.add(1, 3, "email_opened", at(8.5))
        warehouse.run(hour_window(8))
    warehouse.add(1, 1, "email_opened", at(10.5))
    other = Warehouse(warehouse.url)
    with closing(other.db), closing(other.worker), warehouse.db.transaction():
        tenth = Hour(hour_window(10))
        found = hours.list_work(warehouse.db, tenth)
        other.rng.seed(99)
        other.add(1, 1, "email_opened", at(9.5))
        other.run(hour_window(9))
        hours.take_turn(warehouse.db, tenth, found["was_compared"])
        hours.book(warehouse.db, tenth, hours.size(warehouse.db))
    warehouse.events |= other.events
    assert warehouse.rollups() == warehouse.counted()


@pytest.mark.parametrize("is_of_a_listed_hour", [True, False])
def test_an_earlier_visit_that_comes_between_the_count_and_the_survey_counts_once(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, is_of_a_listed_hour: bool
) -> None:
    """It is late. The run counts again what it knew too little about, or leaves it to the next."""
    warehouse.add(1, 2, "email_opened", at(8.5))
    warehouse.run(hour_window(8))
    if is_of_a_listed_hour:
        warehouse.add(1, 3, "email_opened", at(8.6), created=at(10.1))
    warehouse.add(1, 1, "email_opened", at(10.5))
    other = Warehouse(warehouse.url)
    other.rng.seed(99)
    run = warehouse.worker._run

    def interrupted(sql: str, parameters: dict[str, Any]) -> Any:
        if sql == statements.SQL["survey_hour"]:
            other.add(1, 1, "email_opened", at(8.7), created=at(10.2))
        return run(sql, parameters)

    with closing(other.db), monkeypatch.context() as patch:
        patch.setattr(warehouse.worker, "_run", interrupted)
        warehouse.run(hour_window(10))
    warehouse.events |= other.events
    assert (warehouse.rollups() == warehouse.counted()) == is_of_a_listed_hour
    warehouse.run(hour_window(11))
    assert warehouse.rollups() == warehouse.counted()


def test_late_events_do_not_have_the_hour_counted_once_more(warehouse: Warehouse) -> None:
    warehouse.add(1, 1, "email_opened", at(8.5))
    warehouse.run(hour_window(8))
    warehouse.add(1, 2, "email_opened", at(8.6), created=at(10.1))
    warehouse.add(1, 2, "email_opened", at(10.5))
    with warehouse.db.transaction():
        tenth = Hour(hour_window(10))
        hours.survey(warehouse.db, tenth)
        warehouse.db.execute(
            statements.SQL["find_disturbed"],
            first_hour="-infinity", until_hour="infinity", **tenth.parameters,
        )  # fmt: skip
        rows = warehouse.db.rows("select hour from analytics.hourly_work where kind = 'book'")
        assert [row["hour"] for row in rows] == [at(8)]
        hours.book(warehouse.db, tenth, hours.size(warehouse.db))
    assert warehouse.rollups() == warehouse.counted()


def test_types_of_the_reserved_form_are_reported_with_their_tenant_and_stop_no_other(
    warehouse: Warehouse,
) -> None:
    warehouse.add(1, 1, "monthly:email_opened", at(9.1))
    warehouse.add(2, 1, "email_opened", at(9.1))
    assert warehouse.run(hour_window(9)).refused == [str(org(1))]
    assert warehouse.rollups() == {(str(org(2)), "2026-03-10", "email_opened"): (1, 1)}


def test_two_contacts_who_share_a_visitor_key_are_two(warehouse: Warehouse) -> None:
    """The key has a hash of 32 bits: among 200,000 contacts some share one."""
    [pair] = warehouse.db.rows(
        "select array_agg(contact_id) as contacts"
        " from (select n, cast(lpad(to_hex(n), 32, '0') as uuid) as contact_id"
        " from generate_series(1, 200000) as n) as numbered"
        " group by analytics.visitor_key(:at, contact_id)"
        " having count(*) > 1 order by min(n) limit 1",
        at=DAY,
    )
    one, other = (contact.int - 1000 for contact in pair["contacts"])
    warehouse.add(1, one, "email_opened", at(9.5))
    warehouse.add(1, other, "email_opened", at(10.5))
    warehouse.add(1, one, "email_opened", at(11.5))
    for hour in (9, 10, 11):
        warehouse.run(hour_window(hour))
    assert warehouse.rollups() == {(str(org(1)), "2026-03-10", "email_opened"): (3, 2)}


def test_a_contact_of_two_organizations_is_one_of_each(warehouse: Warehouse) -> None:
    warehouse.add(1, 1, "email_opened", at(9.5))
    warehouse.add(2, 1, "email_opened", at(10.5))
    warehouse.run(hour_window(9))
    warehouse.run(hour_window(10))
    assert warehouse.rollups() == warehouse.counted()


def test_an_event_without_a_finite_time_is_let_in_and_counted_nowhere(warehouse: Warehouse) -> None:
    warehouse.db.execute(
        "insert into analytics.contact_activity"
        " (organization_id, contact_id, event_type, occurred_at) values"
        " (gen_random_uuid(), gen_random_uuid(), 'email_opened', 'infinity')"
    )
    warehouse.run(hour_window(9))
    assert warehouse.rollups() == {}


@pytest.mark.parametrize("ingested", ["infinity", "-infinity", "2199-12-31"])
def test_a_wrong_time_of_ingestion_keeps_no_event_from_its_hour(
    warehouse: Warehouse, ingested: str
) -> None:
    warehouse.add(1, 1, "email_opened", at(9.5))
    warehouse.add(1, 2, "email_opened", at(9.6))
    warehouse.db.execute(
        "update analytics.contact_activity set created_at = cast(:at as timestamptz)"
        " where occurred_at = :occurred",
        at=ingested, occurred=at(9.6),
    )  # fmt: skip
    for _ in range(2):
        warehouse.run(hour_window(9))
        assert warehouse.rollups() == warehouse.counted()


EVENTS = st.tuples(
    st.integers(1, 2),  # organization
    st.integers(1, 4),  # contact
    st.sampled_from(["email_opened", "email_sent"]),
    st.integers(20 * 4, 30 * 4),  # quarter of an hour in which it occurred, across midnight
    st.sampled_from([0, 0, 0, 3, 4, 9, 400]),  # quarters until it was ingested
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), EVENTS),
        st.tuples(st.just("delete"), st.integers(0, 50)),
        st.tuples(st.just("run"), st.integers(19, 33)),
    ),
    max_size=40,
)


@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, order=st.randoms(use_true_random=False))
def test_any_history_in_any_order_ends_as_the_events_say(
    warehouse: Warehouse, steps: list[Any], order: Any
) -> None:
    """After any mixture of runs, late events and deletions: once each hour ran again, all is
    correct.
    """
    for table in ("contact_activity", "hourly_cells", "event_aggregates"):
        warehouse.db.execute(f"delete from analytics.{table}")
    warehouse.events.clear()
    for step, value in steps:
        if step == "add":
            organization, contact, kind, quarter, lag = value
            warehouse.add(organization, contact, kind, at(quarter / 4), at((quarter + lag) / 4))
        elif step == "delete" and warehouse.events:
            warehouse.delete(list(warehouse.events)[value % len(warehouse.events)])
        elif step == "run":
            warehouse.run(hour_window(value))
    hours = list(range(19, 33))
    order.shuffle(hours)
    for hour in hours:
        warehouse.run(hour_window(hour))
    assert warehouse.rollups() == warehouse.counted()
