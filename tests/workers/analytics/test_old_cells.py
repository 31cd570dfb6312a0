"""Cells are deleted by age, a whole day of an organization at once; later events still count."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from random import Random
from time import monotonic, sleep

import pytest

from analytics.store import hours
from analytics.store.hours import Hour
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.tick import retention
from tests.fakes import World
from tests.workers.analytics.warehouse import DAY, Warehouse, at, hour_window

NOW = DAY + timedelta(days=120)
TODAY = DAY + timedelta(days=119)
WAIT_S = 60


def prune(warehouse: Warehouse) -> World:
    """A tick, long after the last run that wrote those days."""
    outside = World(warehouse.url, now=NOW)
    ports = outside.ports()
    retention.prune([], NOW, ports)
    ports.db.close()
    return outside


def age_turns(warehouse: Warehouse) -> None:
    warehouse.db.execute(
        "update analytics.booking_turns set taken_at = :then", then=DAY + timedelta(days=1)
    )


def cells(warehouse: Warehouse, organization: int) -> int:
    [row] = warehouse.db.rows(
        "select count(*) as cells from analytics.hourly_cells"
        " where organization_id = cast(lpad(:one, 32, '0') as uuid) and date = :day",
        one=str(organization), day=DAY.date(),
    )  # fmt: skip
    return int(row["cells"])


def book_a_day(warehouse: Warehouse) -> None:
    """Contacts of two organizations in five hours; one of them has two types, and late events."""
    for hour in range(5):
        for contact in range(hour + 1):
            warehouse.add(1, contact, "email_opened", at(hour + 0.1))
            warehouse.add(2, contact, "email_opened", at(hour + 0.2))
        warehouse.add(1, hour, "email_sent", at(hour + 0.3), created=at(hour + 1.3))
    for hour in range(6):
        warehouse.run(hour_window(hour))
    assert warehouse.rollups() == warehouse.counted()
    age_turns(warehouse)


def test_a_late_event_of_a_day_without_its_cells_leaves_the_other_hours_in_its_rollup(
    warehouse: Warehouse,
) -> None:
    book_a_day(warehouse)
    assert prune(warehouse).named("retention.deleted") == [
        {
            "event": "retention.deleted",
            "level": "info",
            "table": "analytics.hourly_cells",
            "count": 15,
        }
    ]
    warehouse.add(1, 7, "email_opened", at(3.5), created=at(9.5, TODAY))
    warehouse.run(hour_window(9, TODAY))
    assert warehouse.rollups() == warehouse.counted()


@pytest.mark.parametrize("recount", [False, True])
def test_one_hour_of_a_day_without_its_cells_is_run_again(
    warehouse: Warehouse, recount: bool
) -> None:
    """A backfill, or a repeated message: it counts the whole day for the types of the hour."""
    book_a_day(warehouse)
    gone = warehouse.add(1, 8, "email_opened", at(2.5))
    warehouse.run(hour_window(2))
    age_turns(warehouse)
    prune(warehouse)
    warehouse.delete(gone)
    warehouse.run(hour_window(2), recount=recount)
    assert warehouse.rollups() == warehouse.counted()


def test_the_cells_of_a_day_go_at_once_or_not_at_all(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROWS_MAX", 3)
    monkeypatch.setattr(retention, "PORTIONS_MAX", 1)
    book_a_day(warehouse)
    assert (cells(warehouse, 1), cells(warehouse, 2)) == (10, 5)
    seen = []
    for _ in range(2):
        prune(warehouse)
        seen.append((cells(warehouse, 1), cells(warehouse, 2)))
    assert seen == [(0, 5), (0, 0)]


def test_a_day_that_was_written_within_two_days_stays(warehouse: Warehouse) -> None:
    """The run of a day ago is compared with its cells, including late ones."""
    book_a_day(warehouse)
    warehouse.db.execute(
        "update analytics.booking_turns set taken_at = :then"
        " where organization_id = cast(lpad('1', 32, '0') as uuid)",
        then=NOW - timedelta(days=1),
    )
    prune(warehouse)
    assert (cells(warehouse, 1), cells(warehouse, 2)) == (10, 0)


def test_a_tick_passes_over_a_day_that_a_run_is_writing(warehouse: Warehouse) -> None:
    book_a_day(warehouse)
    warehouse.add(1, 7, "email_opened", at(3.5), created=at(9.5, TODAY))
    with warehouse.db.transaction():
        late = Hour(hour_window(9, TODAY))
        hours.survey(warehouse.db, late)
        began = monotonic()
        prune(warehouse)
        assert monotonic() - began < 20  # a wait for a lock ends after 50
        hours.book(warehouse.db, late, hours.size(warehouse.db))
    assert cells(warehouse, 1) == 11
    assert cells(warehouse, 2) == 0
    assert warehouse.rollups() == warehouse.counted()


def test_a_run_that_waits_for_a_tick_counts_the_whole_day(warehouse: Warehouse) -> None:
    """Its survey has seen the cells that are deleted before its turn."""
    book_a_day(warehouse)
    warehouse.add(1, 7, "email_opened", at(3.5), created=at(9.5, TODAY))
    with held_prune(warehouse):
        run = threading.Thread(target=warehouse.run, args=[hour_window(9, TODAY)])
        run.start()
        wait_for_a_lock(warehouse)
    run.join(WAIT_S)
    assert not run.is_alive()
    assert cells(warehouse, 1) == 6  # of the late event's type alone
    assert warehouse.rollups() == warehouse.counted()


@contextmanager
def held_prune(warehouse: Warehouse) -> Iterator[None]:
    """A tick's deletion, which commits at the end of the block."""
    outside = World(warehouse.url, now=NOW)
    ports = outside.ports()
    with closing(ports.db), ports.db.transaction():
        retention.prune([], NOW, ports)
        yield
    assert outside.named("retention.failed") == []


def wait_for_a_lock(warehouse: Warehouse) -> None:
    end = monotonic() + WAIT_S
    with closing(Postgres(lambda: connect(warehouse.url))) as looker:
        while not looker.rows(
            "select 1 from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        ):
            assert monotonic() < end, "the run does not wait"
            sleep(0.01)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_comes_between_ticks_the_rollups_are_what_the_events_say(
    warehouse: Warehouse, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old days lose their cells at random, while late events, deletions and backfills continue."""
    monkeypatch.setattr(retention, "ROWS_MAX", 3)
    rng = Random(seed)
    warehouse.rng = rng
    for hour in range(6):
        for _ in range(3):
            add(warehouse, rng, at(hour + rng.random()))
        warehouse.run(hour_window(hour))
    for hour in range(8):
        for _ in range(rng.randint(0, 2)):
            late = at(hour + rng.random(), TODAY)
            add(warehouse, rng, at(rng.uniform(0, 6)), created=late)
        if rng.random() < 0.5:
            age_turns(warehouse)
            prune(warehouse)
        if rng.random() < 0.3:
            again = rng.randrange(6)
            warehouse.run(hour_window(again), recount=rng.random() < 0.5)
        warehouse.run(hour_window(hour, TODAY))
        assert warehouse.rollups() == warehouse.counted()


def add(
    warehouse: Warehouse, rng: Random, occurred: datetime, created: datetime | None = None
) -> None:
    kind = rng.choice(["email_opened", "email_sent"])
    warehouse.add(rng.randint(1, 2), rng.randint(1, 3), kind, occurred, created)
