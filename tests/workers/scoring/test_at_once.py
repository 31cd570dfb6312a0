"""Concurrent BatchRecompute and SignalDecay, each on its own connection."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from time import monotonic, sleep

import pytest

from mauntic.database.url import connect
from scoring.reference.score import Contact, Event, Signal, SignalConfig
from scoring.store import statements
from scoring.store.fold import fold_changes
from shared.adapters.postgres.client import Postgres
from shared.ledger.shards import KeyRange
from shared.ports import Database
from tests.roles import ROLES
from tests.workers.scoring.stage import HOUR, NOON, Stage, person

PEOPLE = [(organization, organization * 100 + n) for organization in (1, 2) for n in range(12)]
WAIT_S = 60
RUNS: dict[str, Callable[[Database, KeyRange, datetime], statements.Scored]] = {
    "batch": statements.recompute_backlog,
    "decay": statements.recompute_due,
}


def populate(stage: Stage) -> None:
    """All contacts are scored at noon; since then a third has changed, and time passes for all."""
    for number, key in enumerate(PEOPLE):
        stage.add_contact(key, email="a@b.example")
        model = ("linear", "exponential", "step")[number % 3]
        stage.add_signal(key, Signal("DEMO_REQUEST", NOON - number * 7 * HOUR, decay_model=model))
    stage.batch(NOON)
    for key in PEOPLE[::3]:
        stage.add_signal(key, Signal("PRICING_PAGE", NOON + HOUR))
        for minutes in (1, 2, 3):
            stage.add_event(key, Event("email_opened", NOON + timedelta(minutes=minutes)))
    stage.fold()


def at_once(stage: Stage, first: tuple[str, datetime], second: tuple[str, datetime]) -> None:
    """The second begins before the first commits, and continues from there."""
    failures: list[BaseException] = []

    def follow() -> None:
        try:
            run(second)
        except BaseException as error:
            failures.append(error)

    def run(which: tuple[str, datetime], then: Callable[[], None] = lambda: None) -> None:
        kind, t = which
        with closing(Postgres(lambda: connect(stage.url))) as db, db.transaction():
            RUNS[kind](db, KeyRange(), t)
            then()

    thread = threading.Thread(target=follow)

    def meet() -> None:
        thread.start()
        until(lambda: not thread.is_alive() or is_somebody_waiting(stage))

    run(first, then=meet)
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert failures == []


def is_somebody_waiting(stage: Stage) -> bool:
    return bool(
        stage.db.rows(
            "select 1 from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )
    )


def until(holds: Callable[[], bool]) -> None:
    end = monotonic() + WAIT_S
    while not holds():
        assert monotonic() < end, "nobody came to meet"
        sleep(0.002)


LATER = NOON + 6 * HOUR
LATEST = NOON + 7 * HOUR


@pytest.mark.parametrize("batch_at", [LATER, LATEST])
def test_at_once_in_either_order_and_twice_the_scores_are_the_same(
    stage: Stage, batch_at: datetime
) -> None:
    """A batch of an earlier hour sets no score of the later one back, either."""
    batch, decay = ("batch", batch_at), ("decay", LATEST)
    ends = []
    populate(stage)
    keep(stage)
    for orders in itertools.product([(batch, decay), (decay, batch)], repeat=2):
        put_back(stage)
        for first, second in orders:
            at_once(stage, first, second)
        assert stage.numbers() == stage.expected_numbers(LATEST)
        assert stage.waiting() == []
        ends.append([tuple(row.values()) for row in stage.rows("score_history")])
    assert all(end == ends[0] for end in ends)


def keep(stage: Stage) -> None:
    for table in ("lead_scores", "score_history", "recompute_backlog"):
        stage.db.execute(f"create table public.{table} as table scoring.{table}")


def put_back(stage: Stage) -> None:
    for table in ("lead_scores", "score_history", "recompute_backlog"):
        stage.db.execute(f"truncate scoring.{table}")
        stage.db.execute(f"insert into scoring.{table} table public.{table}")


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("is_folded", [False, True])
def test_a_change_between_reading_and_writing_is_left_to_the_next_run(
    stage: Stage, kind: str, is_folded: bool
) -> None:
    """A score computed without it may be written, but the change waits for the next batch. If it is
    folded by then, its entry has another version, and a batch writes nothing.
    """
    populate(stage)
    changed = PEOPLE[0]
    runner = threading.Thread(target=run_once, args=(stage, kind))
    with closed_gate(stage):
        runner.start()
        until(lambda: is_somebody_waiting(stage))
        change(stage, changed, phone="+49")
        if is_folded:
            stage.fold()
    runner.join(WAIT_S)
    if kind == "batch":
        assert stage.row(changed)["scored_at"] == (NOON if is_folded else LATEST)
    assert "has_phone" not in stage.row(changed)["top_contributors"]
    assert changed in stage.waiting()
    stage.batch(LATEST)
    stage.decay(LATEST)
    assert stage.numbers() == stage.expected_numbers(LATEST)
    assert stage.row(changed)["components"]["has_phone"] == 15


def test_a_batch_writes_no_score_that_decay_has_written_since_it_was_read(stage: Stage) -> None:
    """It belongs to an earlier hour: the later score stays, and the entry waits for the next
    batch.
    """
    stage.add_contact((1, 1), email="a@b.example")
    stage.add_signal((1, 1), Signal("DEMO_REQUEST", NOON, decay_hours=24))
    stage.batch(NOON)
    stage.change_contact((1, 1), None)
    stage.fold()
    runner = threading.Thread(target=run_once, args=(stage, "batch", NOON + HOUR))
    with closed_gate(stage):
        runner.start()
        until(lambda: is_somebody_waiting(stage))
        with gate_open_for(stage) as db:
            assert statements.recompute_due(db, KeyRange(), LATEST).rows_written == 1
    runner.join(WAIT_S)
    assert stage.row((1, 1))["scored_at"] == LATEST
    assert stage.entries() == [(1, 1)]
    assert stage.numbers() == stage.expected_numbers(LATEST)


def run_once(stage: Stage, kind: str, t: datetime = LATEST) -> None:
    with closing(Postgres(lambda: connect(stage.url))) as db, db.transaction():
        RUNS[kind](db, KeyRange(), t)


@contextmanager
def gate_open_for(stage: Stage) -> Iterator[Database]:
    """A transaction that a closed gate does not delay."""
    with closing(Postgres(lambda: connect(stage.url))) as db, db.transaction():
        db.execute("set local mauntic.gate = 'open'")
        yield db


@contextmanager
def closed_gate(stage: Stage) -> Iterator[None]:
    """A statement that reads contacts has its snapshot, and waits for the end of this."""
    stage.db.execute("alter table crm.contacts rename to contacts_behind")
    stage.db.execute(
        "create function crm.pass() returns boolean language plpgsql as $$ begin"
        " if current_setting('mauntic.gate', true) is distinct from 'open' then"
        " perform pg_advisory_xact_lock_shared(1); end if; return true; end $$;"
        "create view crm.contacts as select * from crm.contacts_behind where crm.pass();"
        f"grant select on crm.contacts to {ROLES.workers}"
    )
    stage.db.execute("select pg_advisory_lock(1)")
    yield
    stage.db.execute("select pg_advisory_unlock(1)")


def change(stage: Stage, key: tuple[int, int], phone: str) -> None:
    contact = stage.contacts[key]
    stage.contacts[key] = Contact(contact.email, phone, contact.custom_fields)
    stage.db.execute(
        "update crm.contacts_behind set phone = :phone where id = :id",
        phone=phone,
        id=person(key[1]),
    )


def test_a_contact_that_is_scored_during_an_unsuccessful_check_is_checked_again(
    stage: Stage,
) -> None:
    """A late batch of an earlier hour counts a new signal: its time is the same."""
    stage.add_contact((1, 1), email="a@b.example")
    stage.add_event((1, 1), Event("page_visited", NOON - 720 * HOUR + timedelta(minutes=30)))
    stage.batch(NOON)
    look_again = stage.row((1, 1))["recheck_at"]
    runner = threading.Thread(target=run_once, args=(stage, "decay", NOON + HOUR))
    with closed_gate(stage):
        runner.start()
        until(lambda: is_somebody_waiting(stage))
        stage.add_signal((1, 1), Signal("DEMO_REQUEST", NOON - timedelta(minutes=1)))
        stage.fold()
        with gate_open_for(stage) as db:
            statements.recompute_backlog(db, KeyRange(), NOON)
        assert stage.row((1, 1))["recheck_at"] == look_again
        assert stage.row((1, 1))["total_score"] == 40
    runner.join(WAIT_S)
    for hours in (2, 24, 100, 200):
        stage.decay(NOON + hours * HOUR)
        assert stage.numbers() == stage.expected_numbers(NOON + hours * HOUR)


def meet_decay(stage: Stage, t: datetime, interfere: Callable[[], None]) -> None:
    """SignalDecay has read and not committed; then something changes, and BatchRecompute runs."""
    failures: list[BaseException] = []

    def recompute() -> None:
        try:
            with closing(Postgres(lambda: connect(stage.url))) as db, db.transaction():
                fold_changes(db, t)
                statements.recompute_backlog(db, KeyRange(), t)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=recompute)
    with closing(Postgres(lambda: connect(stage.url))) as decay, decay.transaction():
        statements.recompute_due(decay, KeyRange(), t)
        interfere()
        thread.start()
        until(lambda: not thread.is_alive() or is_somebody_waiting(stage))
    thread.join(WAIT_S)
    assert failures == []


def test_a_contact_that_is_deleted_during_an_unsuccessful_check_takes_its_score_along(
    stage: Stage,
) -> None:
    stage.add_contact((1, 1), email="a@b.example")
    stage.add_event((1, 1), Event("page_visited", NOON - 719 * HOUR))
    stage.batch(NOON)

    def delete() -> None:
        for table, column in (("analytics.contact_activity", "contact_id"), ("crm.contacts", "id")):
            stage.db.execute(f"delete from {table} where {column} = :id", id=person(1))

    meet_decay(stage, NOON + 2 * HOUR, delete)
    stage.batch(NOON + 3 * HOUR)
    assert (stage.rows(), stage.waiting()) == ([], [])


def test_a_batch_that_met_a_decay_has_the_last_word_on_when_to_look_again(stage: Stage) -> None:
    stage.add_contact((1, 1), email="a@b.example")
    stage.add_event((1, 1), Event("page_visited", NOON - 719 * HOUR))
    stage.add_signal((1, 1), Signal("DEMO_REQUEST", NOON, decay_model="step"))
    stage.batch(NOON)
    sooner = SignalConfig(decay_hours=24)
    meet_decay(stage, NOON + 2 * HOUR, lambda: stage.set_signal(1, "DEMO_REQUEST", sooner))
    stage.batch(NOON + 3 * HOUR)
    for hours in (13, 19, 25):  # half of it is left, a quarter, nothing
        stage.decay(NOON + hours * HOUR)
        assert stage.numbers() == stage.expected_numbers(NOON + hours * HOUR)
