"""One tenant's events affect only that tenant, and corrections are applied without help."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.store import hours, statements
from analytics.store.hours import Hour
from shared.ledger import shards as planner
from tests.fakes import World
from tests.thorough import examples
from tests.workers.analytics.history import deliver, deliver_shards
from tests.workers.analytics.warehouse import DAY, Rollups, Warehouse, at, hour_window, org

OLD = DAY - timedelta(days=40)
TABLES = (
    "contact_activity", "hourly_cells", "event_aggregates", "booking_turns", "changed_hours",
)  # fmt: skip


def adopt(warehouse: Warehouse, organization: int, *figures: int) -> None:
    """A rollup of an old day, from an older system."""
    count, unique_count = figures
    warehouse.db.execute(
        "insert into analytics.event_aggregates"
        " (organization_id, date, event_type, count, unique_count)"
        " values (:organization, :day, 'email_opened', :count, :unique_count)",
        organization=org(organization), day=OLD.date(), count=count, unique_count=unique_count,
    )  # fmt: skip


def old_day(warehouse: Warehouse) -> dict[int, tuple[int, int]]:
    rows = warehouse.db.rows(
        "select * from analytics.event_aggregates where date = :day", day=OLD.date()
    )
    return {row["organization_id"].int: (row["count"], row["unique_count"]) for row in rows}


def purged_before(warehouse: Warehouse, day: Any, organization: int | None = None) -> None:
    warehouse.db.execute(
        "select ops.purged_before(:day, :one)",
        day=day, one=org(organization) if organization else None,
    )  # fmt: skip


def test_a_late_event_of_a_day_without_cells_leaves_the_other_tenants_rows(
    warehouse: Warehouse,
) -> None:
    """Their events of that day are deleted, whether or not that was declared."""
    adopt(warehouse, 2, 50_000, 40_000)
    warehouse.add(1, 1, "email_opened", OLD + timedelta(hours=9), created=at(9.5))
    warehouse.run(hour_window(9))
    assert old_day(warehouse) == {1: (1, 1), 2: (50_000, 40_000)}


@pytest.mark.parametrize("whose", [1, None])
def test_before_the_retained_period_nothing_is_written_but_reported(
    warehouse: Warehouse, database: str, whose: int | None
) -> None:
    adopt(warehouse, 1, 7, 7)
    purged_before(warehouse, OLD.date() + timedelta(days=1), whose)
    for minute in (1, 2):
        occurred = OLD + timedelta(hours=9, minutes=minute)
        warehouse.add(1, 1, "email_opened", occurred, created=at(9.5))
    warehouse.add(1, 1, "email_opened", at(9.1))
    world = World(database, now=at(10.1))
    body = {"type": statements.HOURLY, "scheduledFor": at(10).isoformat()}
    assert asyncio.run(deliver(world, body, "message-1")).answer == "ack"
    assert old_day(warehouse) == {1: (7, 7)}
    [reported] = [one for one in world.events if one["event"] == "event.before_retention"]
    assert (reported["organization_id"], reported["count"]) == (str(org(1)), 2)


@pytest.mark.parametrize("asked", [False, True])
def test_a_backfill_sets_no_row_to_zero_whose_events_were_purged_unless_asked(
    warehouse: Warehouse, asked: bool
) -> None:
    """Not even a rollup that this job has booked."""
    events = [
        warehouse.add(organization, 1, "email_opened", OLD + timedelta(hours=9.5))
        for organization in (1, 2)
    ]
    hour = hour_window(9, OLD)
    warehouse.run(hour)
    for event in events:
        warehouse.delete(event)
    purged_before(warehouse, OLD.date() + timedelta(days=1), 1)
    with warehouse.worker.transaction():
        hours.book_hour(warehouse.worker, Hour(hour, recount=True, before_retention=asked))
    assert old_day(warehouse) == {1: (0, 0) if asked else (1, 1), 2: (0, 0)}


@pytest.mark.parametrize("is_alone", [False, True])
def test_a_backfill_clears_what_was_booked_late_and_is_gone(
    warehouse: Warehouse, is_alone: bool
) -> None:
    """An event that arrived two days late leaves a cell, even if its hour has no other."""
    if not is_alone:
        warehouse.add(1, 2, "email_opened", at(11.5))
        tick(warehouse, 11)
    late = warehouse.add(1, 1, "email_opened", at(9.5), created=at(51.5))
    tick(warehouse, 51)
    assert warehouse.rollups() == warehouse.counted()
    warehouse.delete(late)
    for hour in range(24):
        warehouse.run(hour_window(hour), recount=True)
    assert warehouse.rollups() == warehouse.counted()


def test_a_purge_between_the_survey_and_the_booking_changes_no_row(warehouse: Warehouse) -> None:
    warehouse.add(1, 1, "email_opened", OLD + timedelta(hours=8.5))
    warehouse.run(hour_window(8, OLD))
    late = warehouse.add(1, 2, "email_opened", OLD + timedelta(hours=8.6), created=at(9.5))
    ninth = Hour(hour_window(9))
    with warehouse.worker.transaction():
        hours.survey(warehouse.worker, ninth)
        warehouse.db.execute("delete from analytics.contact_activity where id = :id", id=late)
        purged_before(warehouse, OLD.date() + timedelta(days=1))
        hours.book(warehouse.worker, ninth, hours.size(warehouse.worker))
    assert old_day(warehouse) == {1: (1, 1)}


@pytest.fixture
def booked(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that find and write cells, as they are executed."""
    names: list[str] = []
    watched = ("book_fresh_hour", "find_disturbed", "book_cells")
    execute = warehouse.worker.execute

    def counting(sql: str, **parameters: Any) -> int:
        names.extend(name for name in watched if sql == statements.SQL[name])
        return execute(sql, **parameters)

    monkeypatch.setattr(warehouse.worker, "execute", counting)
    return names


def test_ranges_of_contacts_add_up(
    warehouse: Warehouse, booked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One type of one organization, which is not sharded: fresh, changed, and in a backfill."""
    monkeypatch.setattr(hours, "RANGE_EVENTS_TARGET", 40)
    monkeypatch.setattr(hours, "FRESH_RANGE_EVENTS_TARGET", 40)
    for hour in (8, 9):
        for n in range(300):
            warehouse.add(1, n % (90 + hour), "email_opened", at(hour + n / 400))
    for hour in (8, 9):
        warehouse.run(hour_window(hour))
        assert warehouse.rollups().keys() == warehouse.counted().keys()
    assert warehouse.rollups() == warehouse.counted()
    assert booked.count("book_fresh_hour") > 4
    for event in [one for n, one in enumerate(warehouse.events) if n % 3 == 0]:
        warehouse.delete(event)
    warehouse.run(hour_window(9), recount=True)
    warehouse.run(hour_window(8), recount=True)
    assert warehouse.rollups() == warehouse.counted()
    assert booked.count("book_cells") > 4


def test_the_later_cells_that_a_change_disturbs_are_booked_in_ranges_as_well(
    warehouse: Warehouse, booked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One event is deleted in a cell of fifty: all later cells are booked again."""
    monkeypatch.setattr(hours, "RANGE_EVENTS_TARGET", 100)
    ids = [
        warehouse.add(1, n % 40, "email_opened", at(hour + n / 60))
        for hour in range(8)
        for n in range(50)
    ]
    for hour in range(8):
        warehouse.run(hour_window(hour))
    assert "book_cells" not in booked
    warehouse.delete(ids[3])
    warehouse.run(hour_window(0))
    assert warehouse.rollups() == warehouse.counted()
    assert booked.count("book_cells") == 4  # 399 events


def test_contacts_that_share_a_visitor_key_are_counted_in_their_own_range(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key has 32 bits of a contact: of a hundred thousand contacts, two share one."""
    [pair] = warehouse.db.rows(
        "select (array_agg(id order by id))[1] as low, (array_agg(id order by id))[2] as high"
        " from (select md5(cast(n as text))::uuid as id from generate_series(1, 300000) as n) as a"
        " group by uuid_hash(id) having count(*) > 1 order by 1 limit 1"
    )
    ranges = [(None, pair["high"]), (pair["high"], None)]
    monkeypatch.setattr(hours, "_ranges_of_contacts", lambda *_: ranges)
    for hour, contact in ((8, pair["low"]), (9, pair["high"]), (10, pair["low"])):
        change(
            warehouse, warehouse.add(1, hour, "email_opened", at(hour + 0.5)), "contact_id", contact
        )
    other = warehouse.add(1, 1, "email_opened", at(8.6))
    for hour in (8, 9, 10):
        warehouse.run(hour_window(hour))
    warehouse.delete(other)
    warehouse.run(hour_window(8))
    assert warehouse.rollups() == warehouse.counted()


@pytest.mark.parametrize("minute", [0, 20])
def test_a_day_of_a_type_that_no_shard_cuts_is_looked_at_hour_by_hour(
    warehouse: Warehouse, booked: list[str], monkeypatch: pytest.MonkeyPatch, minute: int
) -> None:
    """A day without cells, and a late event on it."""
    monkeypatch.setattr(planner, "SHARD_EVENTS_TARGET", 100)
    day = DAY - timedelta(days=3)
    for hour in range(6):
        for n in range(30):
            moment = at(hour + n / 60, day)
            warehouse.add(1, n * 7 % 40, "email_opened", moment + timedelta(minutes=minute))
    warehouse.add(1, 41, "email_opened", at(3.5, day), created=at(9.5))
    warehouse.add(2, 41, "email_opened", at(3.5, day), created=at(9.5))
    warehouse.run(hour_window(9))
    assert warehouse.rollups() == warehouse.counted()
    assert booked.count("find_disturbed") >= 6


def test_a_list_of_most_keys_of_a_day_sums_them_as_one_of_a_few_does(
    warehouse: Warehouse,
) -> None:
    """More than a hundred keys: an ordinary hour, and one with late events of the previous day."""
    for hour in range(3):
        for number in range(130):
            organization, kind = number // 2, ("email_opened", "email_sent")[number % 2]
            warehouse.add(organization, hour % 2, kind, at(hour + number / 200))
            if number % 10 == 0:
                late = at(hour - 24 + 0.2)
                warehouse.add(organization, 3, kind, late, created=at(hour + 0.5))
        warehouse.run(hour_window(hour))
        assert warehouse.rollups() == warehouse.counted()
    for event in list(warehouse.events)[::3]:
        warehouse.delete(event)
    for hour in range(3):
        warehouse.run(hour_window(hour))
    assert warehouse.rollups() == warehouse.counted()


def test_a_type_that_is_corrected_after_it_was_booked_is_counted_as_corrected(
    warehouse: Warehouse,
) -> None:
    ids = [warehouse.add(1, contact, "email_opened", at(12 + 1 / 6)) for contact in (1, 2, 3)]
    for hour in range(12, 14):
        tick(warehouse, hour)
    for one in ids[1:]:
        change(warehouse, one, "event_type", "email_opened_by_machine")
    for hour in range(14, 38):
        tick(warehouse, hour)
    day = "2026-03-10"
    assert warehouse.rollups() == {
        (str(org(1)), day, "email_opened"): (1, 1),
        (str(org(1)), day, "email_opened_by_machine"): (2, 2),
    }


def test_an_event_that_is_moved_to_days_ago_is_counted_there_by_the_next_tick(
    warehouse: Warehouse,
) -> None:
    """Both of its times are changed, so that it is in no hour that a run still examines."""
    moved = warehouse.add(1, 1, "email_opened", at(5.2))
    warehouse.add(2, 1, "email_opened", at(5.2))
    for hour in range(-60, 10):
        tick(warehouse, hour)
    change(warehouse, moved, "created_at", at(-52.5))
    change(warehouse, moved, "occurred_at", at(-52.7))
    tick(warehouse, 10)
    assert warehouse.rollups() == warehouse.counted()
    assert warehouse.db.rows("select * from analytics.changed_hours") == []


def test_a_run_that_is_split_leaves_changed_hours_to_its_shards(
    warehouse: Warehouse, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "SHARD_EVENTS_TARGET", 2)
    ids = [warehouse.add(1, n, "email_opened", at(n - 60.5)) for n in (0, 24, 48)]
    world = World(database, now=at(10.1))
    for n in (0, 24, 48, 60, 66):
        asyncio.run(run_whole(world, at(n - 60)))
    for one in ids:
        change(warehouse, one, "contact_id", UUID(int=1_009))
        change(warehouse, one, "event_type", "other")
    assert asyncio.run(run_whole(world, at(9))) > 1
    assert warehouse.rollups() == warehouse.counted()
    assert warehouse.db.rows("select * from analytics.changed_hours") == []


async def run_whole(world: World, scheduled: datetime) -> int:
    """Run a window and its shards; return their number."""
    body = {"type": statements.HOURLY, "scheduledFor": scheduled.isoformat()}
    assert (await deliver(world, body, f"m{scheduled}")).answer == "ack"
    return await deliver_shards(world)


def tick(warehouse: Warehouse, hour: int) -> None:
    warehouse.run(hour_window(hour))
    warehouse.note(hour_window(hour))


COLUMNS = ["organization_id", "contact_id", "event_type", "occurred_at", "created_at"]


def change(warehouse: Warehouse, event_id: UUID, column: str, value: object) -> None:
    event = list(warehouse.events[event_id])
    event[1 + COLUMNS.index(column)] = value
    warehouse.events[event_id] = tuple(event)  # type: ignore[assignment]
    warehouse.db.execute(
        f"update analytics.contact_activity set {column} = :value where id = :id",
        value=value, id=event_id,
    )  # fmt: skip


def clear(warehouse: Warehouse) -> None:
    for table in TABLES:
        warehouse.db.execute(f"delete from analytics.{table}")
    for table in ("job_runs", "retention"):
        warehouse.db.execute(f"delete from ops.{table}")
    warehouse.events.clear()


EDITS = st.one_of(
    st.tuples(st.just("organization_id"), st.sampled_from([org(1), org(2)])),
    st.tuples(st.just("contact_id"), st.sampled_from([UUID(int=1001), UUID(int=1002)])),
    st.tuples(st.just("event_type"), st.sampled_from(["email_opened", "email_sent", "new"])),
    st.tuples(st.just("occurred_at"), st.integers(-30, 8).map(lambda hour: at(hour + 0.3))),
    st.tuples(st.just("created_at"), st.integers(-30, 8).map(lambda hour: at(hour + 0.4))),
)


@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    added=st.lists(
        st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(0, 8)), min_size=1, max_size=6
    ),
    edits=st.lists(st.tuples(st.integers(9, 23), st.integers(0, 5), EDITS), max_size=6),
)
def test_any_change_of_any_column_within_the_day_is_applied_by_ticks(
    warehouse: Warehouse, added: list[Any], edits: list[Any]
) -> None:
    clear(warehouse)
    ids = [
        warehouse.add(organization, contact, "email_opened", at(hour + 0.2))
        for organization, contact, hour in added
    ]
    for hour in range(34):
        for _, index, (column, value) in [one for one in edits if one[0] == hour]:
            change(warehouse, ids[index % len(ids)], column, value)
        tick(warehouse, hour)
    assert warehouse.rollups() == warehouse.counted()


@dataclass
class Seen:
    """A tenant's view of the others: its rows, and its runs' work with the counts for splitting."""

    rows: Rollups = field(default_factory=dict)
    work: list[tuple[Any, ...]] = field(default_factory=list)
    sizes: list[tuple[Any, ...]] = field(default_factory=list)


A, B = 1, 2
FAR = ["0044-03-15 BC", "9000-01-01", "infinity", "-infinity"]
WRONG = ["infinity", "-infinity", "2199-12-31"]
A_STEPS = st.lists(
    st.tuples(
        st.integers(0, 11),  # before the run of this hour
        st.one_of(
            st.tuples(st.just("late"), st.integers(-1_000, 0)),
            st.tuples(st.just("now"), st.integers(0, 0)),
            st.tuples(st.just("date"), st.sampled_from(FAR)),
            st.tuples(st.just("ingested"), st.sampled_from(WRONG)),
            st.tuples(st.just("delete"), st.integers(0, 9)),
            st.tuples(st.just("retype"), st.integers(0, 9)),
            st.tuples(st.just("purge"), st.integers(-40, 0)),
            st.tuples(st.just("history"), st.integers(1, 30)),
        ),
    ),
    min_size=1,
    max_size=10,
)  # fmt: skip
B_EVENTS = st.lists(
    st.tuples(
        st.integers(1, 3), st.integers(0, 11), st.sampled_from([0, 0, 0, 2, 30, 200]), st.booleans()
    ),
    max_size=6,
)


@settings(
    max_examples=examples(20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=A_STEPS, events=B_EVENTS)
def test_whatever_a_tenant_does_the_other_has_the_rows_and_the_work_of_a_world_without_it(
    warehouse: Warehouse, steps: list[Any], events: list[Any]
) -> None:
    executed: list[str] = []
    original = warehouse.worker._run

    def watched(sql: str, parameters: dict[str, Any]) -> Any:
        executed.append(sql)
        return original(sql, parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warehouse.worker, "_run", watched)
        with_a = live(warehouse, steps, events)
        without = live(warehouse, [], events)
    assert with_a == without
    surveys = executed.count(statements.SQL["survey_hour"])
    assert surveys == 2 * 13
    for name in STATEMENTS_OF_A_RUN:  # for any amount of work, each at most once
        assert executed.count(statements.SQL[name]) <= surveys


STATEMENTS_OF_A_RUN = (
    "take_turns", "sort_work", "size_of_work", "find_disturbed", "size_of_booking", "book_cells",
    "book_fresh_hour", "set_days",
)  # fmt: skip


def live(warehouse: Warehouse, steps: list[Any], events: list[Any]) -> Seen:
    """Twelve hours of both tenants, after a row of B's without any event."""
    clear(warehouse)
    adopt(warehouse, B, 9, 8)
    seen, mine = Seen(), list[UUID]()
    warehouse.add(B, 1, "email_opened", at(-0.9))
    tick(warehouse, -1)
    for hour in range(12):
        for contact, occurred, late_by, in_time in events:
            if occurred == hour - (0 if in_time else 1):
                moment = at(occurred + 0.1 - late_by)
                warehouse.add(B, contact, "email_opened", moment, created=at(occurred + 0.5))
        for _, step in [one for one in steps if one[0] == hour]:
            do(warehouse, mine, hour, *step)
        with warehouse.worker.transaction():
            ours = Hour(hour_window(hour))
            hours.survey(warehouse.worker, ours)
            work = warehouse.worker.rows(
                "select kind, date, event_type, hour, until, booked_in, count"
                " from analytics.hourly_work where organization_id = :b order by 1, 2, 3, 4, 5, 6",
                b=org(B),
            )
            seen.work += [(hour, *row.values()) for row in work]
            sizes = warehouse.worker.rows(statements.SQL["sizes_of_work"])
            seen.sizes += [
                (hour, *row.values()) for row in sizes if row["organization_id"] == org(B)
            ]
            hours.book(warehouse.worker, ours, hours.size(warehouse.worker))
        warehouse.note(hour_window(hour))
    seen.rows = {key: row for key, row in warehouse.rollups().items() if key[0] == str(org(B))}
    return seen


def do(warehouse: Warehouse, mine: list[UUID], hour: int, step: str, value: Any) -> None:
    """One action of A."""
    now = at(hour + 0.5)
    if step in ("late", "now"):
        occurred = now + timedelta(hours=value)
        mine.append(warehouse.add(A, 1, "email_opened", occurred, created=now))
    elif step == "history":
        for day in range(value):
            occurred = OLD + timedelta(days=day, hours=3)
            mine.append(warehouse.add(A, day, "email_sent", occurred, created=now))
    elif step in ("date", "ingested"):
        mine.append(warehouse.add(A, 1, "email_opened", now))
        column = "occurred_at" if step == "date" else "created_at"
        warehouse.db.execute(
            f"update analytics.contact_activity set {column} = cast(:value as timestamptz)"
            " where id = :id",
            value=value, id=mine[-1],
        )  # fmt: skip
    elif step == "purge":
        before = (DAY + timedelta(days=value)).date()
        warehouse.db.execute(
            "delete from analytics.contact_activity"
            " where organization_id = :a and occurred_at < :at",
            a=org(A), at=DAY + timedelta(days=value),
        )  # fmt: skip
        purged_before(warehouse, before, A)
    elif mine:
        one = mine[value % len(mine)]
        sql = (
            "delete from analytics.contact_activity where id = :id"
            if step == "delete"
            else "update analytics.contact_activity set event_type = 'other' where id = :id"
        )
        warehouse.db.execute(sql, id=one)
