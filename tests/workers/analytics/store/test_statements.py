"""Events that their run has not booked: the hourly job finds them without help."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.store import hours, statements
from analytics.store.hours import Hour
from shared.messages import Shard
from tests.fakes import World
from tests.thorough import examples
from tests.workers.analytics.history import deliver
from tests.workers.analytics.warehouse import Warehouse, at, hour_window, org

HALVES = (
    Shard.model_validate({"index": 1, "of": 2, "untilOrganization": org(2)}),
    Shard.model_validate({"index": 2, "of": 2, "firstOrganization": org(2)}),
)


def run(warehouse: Warehouse, *hours: int) -> None:
    for hour in hours:
        warehouse.run(hour_window(hour))


def looked_at(warehouse: Warehouse, hour: int) -> list[tuple[Any, Any]]:
    """Return the cells whose events the run of an hour counts again: their hours and runs."""
    with warehouse.worker.transaction():
        hours.survey(warehouse.worker, Hour(hour_window(hour)))
        rows = warehouse.worker.rows(
            "select hour, booked_in from analytics.hourly_work where kind = 'look'"
            " and hour <> :start",
            start=hour_window(hour).start,
        )
        hours.leave_to_shards(warehouse.worker)
    return sorted({(row["hour"], row["booked_in"]) for row in rows})


@pytest.mark.parametrize("hour", [11, 0])
def test_late_events_committed_after_their_run_had_looked_are_found_by_the_next(
    warehouse: Warehouse, hour: int
) -> None:
    warehouse.add(1, 1, "email_opened", at(hour - 3.5))
    run(warehouse, *range(hour - 4, hour))
    warehouse.add(1, 2, "email_opened", at(hour - 2.5), created=at(hour - 0.01))
    warehouse.add(1, 2, "email_opened", at(hour - 60), created=at(hour - 0.01))
    run(warehouse, hour)
    assert warehouse.rollups() == warehouse.counted()


def test_an_hour_that_was_quiet_when_its_run_looked_is_looked_at_again(
    warehouse: Warehouse,
) -> None:
    warehouse.add(1, 1, "email_opened", at(7.5))
    run(warehouse, 7, 8)
    warehouse.add(1, 1, "email_opened", at(8.99))
    run(warehouse, 9)
    assert warehouse.rollups() == warehouse.counted()


def test_an_hour_with_a_few_late_events_is_not_recounted_for_them(warehouse: Warehouse) -> None:
    """They occurred just before the full hour, and were ingested just after it."""
    warehouse.add(1, 1, "email_opened", at(8.2))
    run(warehouse, 8)
    warehouse.add(1, 3, "email_opened", at(8.99), created=at(9.01))
    for _ in range(2):
        assert looked_at(warehouse, 9) == [(at(8), at(9))]
        run(warehouse, 9)
    assert warehouse.rollups() == warehouse.counted()


def test_a_day_that_lost_its_last_late_event_is_set_by_the_run_that_booked_it(
    warehouse: Warehouse,
) -> None:
    warehouse.add(1, 1, "email_opened", at(-3.5))
    gone = warehouse.add(1, 2, "email_opened", at(-3.4), created=at(10.5))
    run(warehouse, -4, 10)
    warehouse.delete(gone)
    run(warehouse, 10)
    assert warehouse.rollups() == warehouse.counted()


def test_a_day_that_was_counted_before_there_were_cells_is_never_set_to_a_part(
    warehouse: Warehouse,
) -> None:
    """Its hours are run again one by one, by a backfill or because one of them had failed."""
    for hour in (2, 9, 20):
        warehouse.add(1, hour, "email_opened", at(hour + 0.5))
        run(warehouse, hour)
    warehouse.db.execute("truncate analytics.hourly_cells")  # as a migration of them does
    run(warehouse, 9)
    assert warehouse.rollups() == warehouse.counted()


def test_all_shards_book_an_unbooked_day_completely(warehouse: Warehouse) -> None:
    """Although only one of them has a late event of it."""
    for organization in (1, 2):
        warehouse.add(organization, 1, "email_opened", at(-30))
    warehouse.add(1, 2, "email_opened", at(-30.5), created=at(9.5))
    for shard in HALVES:
        warehouse.run(hour_window(9), shard)
    warehouse.add(2, 2, "email_opened", at(-30.5), created=at(10.5))
    run(warehouse, 10)
    assert warehouse.rollups() == warehouse.counted()


def test_an_event_that_was_gone_before_its_hour_was_booked_is_forgotten(
    warehouse: Warehouse,
) -> None:
    """The run of 7:00, before that of 5:00, had counted it as a first visit."""
    warehouse.add(1, 1, "email_opened", at(4.5))
    run(warehouse, 4)
    gone = warehouse.add(1, 2, "email_opened", at(5.5))
    warehouse.add(1, 2, "email_opened", at(7.5))
    run(warehouse, 7)
    warehouse.delete(gone)
    run(warehouse, 5)
    assert warehouse.rollups() == warehouse.counted()


def test_a_backfill_trusts_no_cell(warehouse: Warehouse, database: str) -> None:
    """An event arrived hours late, was seen by later runs, and is deleted."""
    for hour in (4, 5, 6):
        warehouse.add(1, 1, "email_opened", at(hour + 0.4))
    run(warehouse, 4, 5, 6)
    gone = warehouse.add(1, 2, "email_opened", at(4.5))
    warehouse.add(1, 2, "email_opened", at(7.5))
    run(warehouse, 7)
    warehouse.delete(gone)
    world = World(database, now=at(30))
    for hour in (4, 5, 6, 7):
        planned = at(hour + 1).isoformat()
        body = {"type": statements.HOURLY, "scheduledFor": planned, "trigger": "backfill"}
        assert asyncio.run(deliver(world, body, f"message-{hour}")).answer == "ack"
    assert warehouse.rollups() == warehouse.counted()


ARRIVALS = st.tuples(
    st.integers(1, 3),  # organization
    st.integers(1, 3),  # contact
    st.sampled_from(["email_opened", "monthly:email_opened"]),
    st.sampled_from([0, 0, 2, 30, 61, 200, 1500, 3000]),  # minutes from its time to its ingestion
    st.booleans(),  # committed in time for the run
)


@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    hours=st.lists(st.tuples(st.lists(ARRIVALS, max_size=3), st.booleans()), max_size=14),
    first=st.integers(-14, 0),
)
def test_one_tick_an_hour_keeps_every_day_right(
    warehouse: Warehouse, hours: list[tuple[list[Any], bool]], first: int
) -> None:
    """No run is repeated: late events, late commits and days before the first run are all in."""
    for table in ("contact_activity", "hourly_cells", "event_aggregates"):
        warehouse.db.execute(f"delete from analytics.{table}")
    warehouse.events.clear()
    warehouse.add(3, 1, "email_opened", at(first - 0.1))
    run(warehouse, first - 1)
    for hour, (arrivals, is_split) in enumerate([*hours, ([], False)], first):
        ingested = at(hour + 0.9)
        for is_late in (False, True):
            for organization, contact, kind, lag, in_time in arrivals:
                if in_time is is_late:
                    continue
                occurred = ingested - timedelta(minutes=lag)
                warehouse.add(organization, contact, kind, occurred, ingested)
            if not is_late:
                for shard in HALVES if is_split else (None,):
                    warehouse.run(hour_window(hour), shard)
    counted = {
        key: figures for key, figures in warehouse.counted().items() if "monthly:" not in key[2]
    }
    assert warehouse.rollups() == counted
