"""Concurrent runs of several hours, statement by statement in a random order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from random import Random
from time import monotonic
from typing import Any

import pytest

from analytics.store.hours import Hour, book_hour
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.windows import Window
from tests.workers.analytics.warehouse import Warehouse, at, hour_window

KINDS = ("email_opened", "email_sent")
LAST = 5  # the newest hour that is over
WAIT_S = 60
SEEDS = 25


class Conductor:
    """Lets one thread at a time begin a statement; `blocked()` is the number that waits for a
    lock.
    """

    def __init__(self, rng: Random, blocked: Callable[[], int]) -> None:
        self.rng = rng
        self.blocked = blocked
        self.changed = threading.Condition()
        self.waiting: set[str] = set()
        self.chosen: str | None = None

    def wait_for_turn(self) -> None:
        me = threading.current_thread().name
        with self.changed:
            self.waiting.add(me)
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: self.chosen == me, WAIT_S)
            self.waiting.remove(me)
            self.chosen = None
            self.changed.notify_all()

    def conduct(self, threads: list[threading.Thread], between: Callable[[], None]) -> None:
        for thread in threads:
            thread.start()
        while self._all_have_stopped(threads):
            between()
            with self.changed:
                self.chosen = self.rng.choice(sorted(self.waiting))
                self.changed.notify_all()
                assert self.changed.wait_for(lambda: self.chosen is None, WAIT_S)

    def _all_have_stopped(self, threads: list[threading.Thread]) -> bool:
        """Each unfinished one waits for its turn or for a lock; False when all have finished."""
        end = monotonic() + WAIT_S
        while alive := sum(thread.is_alive() for thread in threads):
            with self.changed:
                if self.waiting and len(self.waiting) + self.blocked() >= alive:
                    return True
                self.changed.wait(0.002)
            assert monotonic() < end, "nobody goes on"
        return False


class Conducted(Postgres):
    """Every statement waits for its turn."""

    def __init__(self, url: str, conductor: Conductor) -> None:
        super().__init__(lambda: connect(url))
        self.conductor = conductor

    def _run(self, sql: str, parameters: dict[str, Any]) -> Any:
        self.conductor.wait_for_turn()
        return super()._run(sql, parameters)


@pytest.fixture
def looker(database: str) -> Iterator[Postgres]:
    with closing(Postgres(lambda: connect(database))) as db:
        yield db


@pytest.mark.parametrize("seed", range(SEEDS))
def test_hours_that_are_run_at_once_leave_the_rows_that_the_events_say(
    warehouse: Warehouse, looker: Postgres, seed: int
) -> None:
    """Windows of a catch-up, some twice, while events are committed: once the following hours have
    run, nothing is missing and nothing counts twice.
    """
    rng = Random(seed)
    warehouse.rng = rng
    for _ in range(12):
        add(warehouse, rng, created=rng.uniform(0, LAST + 1))
    warehouse.run(hour_window(0))

    def blocked() -> int:
        [row] = looker.rows(
            "select count(*) as count from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )
        return int(row["count"])

    def between() -> None:
        if rng.random() < 0.2:  # of the hour that has just ended, or of this one
            add(warehouse, rng, created=rng.uniform(LAST, LAST + 1.5))

    conductor = Conductor(rng, blocked)
    hours = [rng.randint(1, LAST) for _ in range(2)] + list(range(1, LAST + 1))
    failures: list[BaseException] = []
    conductor.conduct(
        [runner(warehouse.url, hour_window(hour), conductor, failures) for hour in hours], between
    )
    assert failures == []
    for hour in (LAST + 1, LAST + 2):
        warehouse.run(hour_window(hour))
    assert warehouse.rollups() == warehouse.counted()


def add(warehouse: Warehouse, rng: Random, created: float) -> None:
    """An event, every third of them late, by hours or by a day."""
    late_h = rng.choice([0, 0, 0, 0, 2, 24])
    occurred = at(created - late_h)
    warehouse.add(rng.randint(1, 2), rng.randint(1, 3), rng.choice(KINDS), occurred, at(created))


def runner(
    url: str, window: Window, conductor: Conductor, failures: list[BaseException]
) -> threading.Thread:
    def work() -> None:
        try:
            with closing(Conducted(url, conductor)) as db, db.transaction():
                book_hour(db, Hour(window))
        except BaseException as error:
            failures.append(error)

    return threading.Thread(target=work, name=f"{window}-{id(work)}")
