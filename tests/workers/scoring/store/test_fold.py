"""The fold of the change feed into the backlog, in any order, around other transactions' locks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mauntic.database.url import connect
from scoring.reference.score import Event, FactorConfig, Signal, SignalConfig
from scoring.store import fold, statements
from shared.adapters.postgres.client import Postgres
from shared.ledger import change_feed
from shared.ledger.shards import KeyRange
from tests.roles import as_worker
from tests.thorough import examples
from tests.workers.scoring.stage import HOUR, NOON, Stage, locked, no_lock_met, org, person
from tests.workers.scoring.test_runs import CHANGES, EVERYBODY, change

ENTRY = (
    "insert into scoring.recompute_backlog (organization_id, contact_id, reason)"
    " values (:org, :contact, 'test')"
)
HOLD_ENTRY = "select from scoring.recompute_backlog where contact_id = :contact for update"


def pending(stage: Stage) -> list[tuple[int, int | None]]:
    rows = stage.db.rows("select * from crm.contact_changes order by id")
    return [
        (row["organization_id"].int, row["contact_id"] and row["contact_id"].int - 1_000)
        for row in rows
    ]


def versions(stage: Stage) -> dict[int, int]:
    rows = stage.rows("recompute_backlog")
    return {row["contact_id"].int - 1_000: row["version"] for row in rows}


def test_a_fold_enters_each_contact_once_and_empties_the_feed(stage: Stage) -> None:
    for contact in (1, 2):
        stage.add_contact((1, contact))
        stage.add_signal((1, contact), Signal("DEMO_REQUEST", NOON))
    assert stage.fold() == fold.Folded(4, 2)
    assert (stage.entries(), pending(stage)) == ([(1, 1), (1, 2)], [])
    assert stage.fold() == fold.Folded(0, 0)


def test_a_change_moves_the_version_of_an_entry_that_waits(stage: Stage) -> None:
    stage.add_contact((1, 1))
    stage.add_contact((1, 2))
    stage.fold()
    was = versions(stage)
    requested = {row["contact_id"]: row["requested_at"] for row in stage.rows("recompute_backlog")}
    stage.change_contact((1, 1), "a@b.example")
    stage.fold()
    assert versions(stage)[1] > was[1]
    assert versions(stage)[2] == was[2]
    now = {row["contact_id"]: row["requested_at"] for row in stage.rows("recompute_backlog")}
    assert now == requested  # that of the first change that is not computed yet


def test_the_rows_of_a_locked_entry_stay_in_the_feed(stage: Stage) -> None:
    for contact in (1, 2, 3):
        stage.add_contact((1, contact))
    stage.fold()
    was = versions(stage)
    for contact in (1, 2, 3):
        stage.change_contact((1, contact), "a@b.example")
    with locked(stage, HOLD_ENTRY, contact=person(2)), no_lock_met(stage):
        assert stage.fold().rows_read == 2
        assert pending(stage) == [(1, 2)]
    assert versions(stage)[2] == was[2]
    assert min(versions(stage)[1], versions(stage)[3]) > max(was.values())
    stage.fold()
    assert pending(stage) == []
    assert versions(stage)[2] > was[2]


def test_an_entry_that_is_inserted_at_this_moment_stops_only_its_own_rows(stage: Stage) -> None:
    """No statement can skip that lock: the fold avoids it."""
    for contact in range(8):
        stage.add_contact((1, contact))
    with locked(stage, ENTRY, org=org(1), contact=person(5)):
        assert stage.fold().rows_read == 7
        assert pending(stage) == [(1, 5)]
        assert len(stage.entries()) == 7
    stage.fold()
    assert (len(stage.entries()), pending(stage)) == (8, [])


def test_many_locks_end_a_fold_in_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_feed, "PATIENCE", "10ms")
    monkeypatch.setattr(change_feed, "LOCKS_MET_MAX", 6)
    everybody = [(1, contact) for contact in range(40)]
    for key in everybody:
        stage.add_contact(key)
    held = (
        "insert into scoring.recompute_backlog (organization_id, contact_id, reason)"
        " select organization_id, id, 'test' from crm.contacts"
    )
    with locked(stage, held):
        before = stage.db.rows("select clock_timestamp() as t")[0]["t"]
        assert stage.fold() == fold.Folded(0, 0)
        took = stage.db.rows("select clock_timestamp() as t")[0]["t"] - before
        assert took.total_seconds() < 5
    assert len(pending(stage)) == 40
    stage.fold()
    assert (len(stage.entries()), pending(stage)) == (40, [])


def test_two_folds_at_once_share_the_rows(stage: Stage) -> None:
    stage.add_contact((1, 1))
    stage.add_contact((1, 2))
    first = "select from crm.contact_changes order by id limit 1 for update"
    with locked(stage, first), no_lock_met(stage):
        assert stage.fold() == fold.Folded(1, 1)
    assert (stage.entries(), pending(stage)) == ([(1, 2)], [(1, 1)])


def test_one_organization_s_import_does_not_delay_the_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold, "CHANGES_MAX", 30)
    for contact in range(100):
        stage.add_contact((1, contact))
    for organization in (2, 3):
        stage.add_contact((organization, organization * 1_000))
    assert 30 <= stage.fold().rows_read <= 33
    assert {organization for organization, _ in pending(stage)} == {1}
    runs = 1
    while stage.fold().rows_read:
        runs += 1
    assert (runs, len(stage.entries())) == (4, 102)


def test_a_setting_is_expanded_in_ranges_and_ends_with_the_last(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold, "EXPANDED_AT_ONCE", 3)
    monkeypatch.setattr(fold, "EXPANDED_MAX", 3)
    for contact in range(8):
        stage.add_contact((1, contact))
    stage.add_contact((2, 100))
    stage.batch()
    stage.set_factor(1, "fit", "has_email", FactorConfig(9))
    reached = []
    while pending(stage):
        stage.fold()
        reached.append(len(stage.entries()))
    assert reached == [3, 6, 8]
    assert stage.entries() == [(1, contact) for contact in range(8)]
    assert stage.db.rows("select * from crm.expanded_changes") == []


def test_a_setting_of_a_type_concerns_the_contacts_with_such_a_signal(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold, "EXPANDED_AT_ONCE", 3)
    for contact in range(12):
        stage.add_contact((1, contact))
        for _ in range(2):
            kind = "PRICING_PAGE" if contact % 4 == 0 else "DEMO_REQUEST"
            stage.add_signal((1, contact), Signal(kind, NOON))
    stage.batch()
    stage.set_signal(1, "PRICING_PAGE", SignalConfig(9))
    assert stage.waiting() == [(1, 0), (1, 4), (1, 8)]
    assert pending(stage) == []
    stage.batch()
    assert stage.numbers() == stage.expected_numbers(NOON)


@pytest.mark.parametrize("whole", ["factor", "kind"])
def test_a_locked_entry_of_a_whole_organization_gets_a_row_of_its_own(
    stage: Stage, whole: str
) -> None:
    for contact in (1, 2, 3):
        stage.add_contact((1, contact))
        stage.add_signal((1, contact), Signal("DEMO_REQUEST", NOON))
    stage.fold()
    was = versions(stage)
    if whole == "factor":
        stage.set_factor(1, "fit", "has_email", FactorConfig(9))
    else:
        stage.set_signal(1, "DEMO_REQUEST", SignalConfig(9))
    with locked(stage, HOLD_ENTRY, contact=person(2)), no_lock_met(stage):
        stage.fold()
        assert pending(stage) == [(1, 2)]
    assert versions(stage)[1] > was[1]
    stage.fold()
    assert versions(stage)[2] > was[2]


def test_an_entry_that_is_inserted_now_keeps_no_other_organization_s_setting(stage: Stage) -> None:
    for organization in (1, 2):
        stage.add_contact((organization, organization * 10))
    stage.db.execute("truncate crm.contact_changes")
    for organization in (1, 2):
        stage.set_factor(organization, "fit", "has_email", FactorConfig(9))
    with locked(stage, ENTRY, org=org(1), contact=person(10)):
        stage.fold()
        assert stage.entries() == [(2, 20)]
        assert pending(stage) == [(1, None)]
    stage.fold()
    assert (len(stage.entries()), pending(stage)) == (2, [])


def test_organizations_expand_by_turns(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "EXPANDED_AT_ONCE", 2)
    monkeypatch.setattr(fold, "EXPANDED_MAX", 8)
    monkeypatch.setattr(fold, "RANGE_COST", 2)
    for contact in range(20):
        stage.add_contact((1, contact))
    stage.add_contact((2, 100))
    stage.batch()
    for organization in (1, 2):
        stage.set_factor(organization, "fit", "has_email", FactorConfig(9))
    stage.fold()
    assert (2, 100) in stage.entries()
    assert pending(stage) == [(1, None)]


def test_a_whole_change_that_another_fold_expands_is_left_to_it(stage: Stage) -> None:
    for organization in (1, 2):
        stage.add_contact((organization, organization * 10))
    stage.batch()
    for organization in (1, 1, 2):
        stage.set_factor(organization, "fit", "has_email", FactorConfig(9))
    held = "select from crm.contact_changes where organization_id = :org for update"
    with locked(stage, held, org=org(1)), no_lock_met(stage):
        stage.fold()
    assert (stage.entries(), pending(stage)) == ([(2, 20)], [(1, None), (1, None)])


def test_of_settings_saved_many_times_only_the_newest_is_expanded(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In addition to the one in progress: the newest repeats what that one has passed."""
    monkeypatch.setattr(fold, "EXPANDED_AT_ONCE", 2)
    monkeypatch.setattr(fold, "EXPANDED_MAX", 2)
    for contact in range(6):
        stage.add_contact((1, contact))
    stage.batch()
    stage.set_factor(1, "fit", "has_email", FactorConfig(1))
    stage.fold()
    for points in range(10):
        stage.set_factor(1, "fit", "has_email", FactorConfig(points))
    stage.fold()
    assert pending(stage) == [(1, None), (1, None)]
    runs = 0
    while pending(stage):
        stage.fold()
        runs += 1
    assert runs <= 6
    stage.batch()
    assert stage.numbers() == stage.expected_numbers(NOON)


@pytest.mark.parametrize("held", ["entry", "score"])
def test_a_batch_passes_over_what_another_transaction_holds(stage: Stage, held: str) -> None:
    for contact in (1, 2, 3):
        stage.add_contact((1, contact), email="a@b.example")
    stage.batch()
    for contact in (1, 2, 3):
        stage.add_signal((1, contact), Signal("DEMO_REQUEST", NOON))
    stage.fold()
    table = "recompute_backlog" if held == "entry" else "lead_scores"
    sql = f"select from scoring.{table} where contact_id = :contact for update"
    with locked(stage, sql, contact=person(2)), stage.job() as db:
        assert statements.recompute_backlog(db, KeyRange(), NOON).rows_written == 2
    assert stage.entries() == [(1, 2)]
    with stage.job() as db:
        assert statements.recompute_backlog(db, KeyRange(), NOON).rows_written == 1
    assert stage.numbers() == stage.expected_numbers(NOON)


@pytest.mark.parametrize("is_moved", [True, False])
def test_decay_passes_over_a_score_that_another_transaction_holds(
    stage: Stage, is_moved: bool
) -> None:
    """The others are rescored, or checked again later, in any organization."""
    for organization in (1, 2, 3):
        key = (organization, organization * 10)
        stage.add_contact(key)
        if is_moved:
            stage.add_signal(key, Signal("DEMO_REQUEST", NOON, decay_hours=24))
        else:
            for hours in range(60):
                stage.add_event(key, Event("email_opened", NOON - (719 - hours) * HOUR))
    stage.batch()
    was = {row["contact_id"]: row["recheck_at"] for row in stage.rows()}
    hold = "select from scoring.lead_scores where contact_id = :contact for update"
    with locked(stage, hold, contact=person(20)):
        stage.decay(NOON + 3 * HOUR)
    same = [
        row["contact_id"] for row in stage.rows() if row["recheck_at"] == was[row["contact_id"]]
    ]
    assert same == [person(20)]
    stage.decay(NOON + 3 * HOUR)
    assert stage.numbers() == stage.expected_numbers(NOON + 3 * HOUR)


class RolledBack(Exception):
    """Raised to roll a transaction back."""


class Crowd:
    """Concurrent transactions of the platform and of jobs."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.writers = {n: Postgres(lambda: connect(stage.url)) for n in (1, 2)}
        self.jobs = {n: Postgres(lambda: as_worker(stage.url)) for n in (1, 2)}
        self.busy: dict[Postgres, AbstractContextManager[None]] = {}

    def begin(self, db: Postgres) -> None:
        if db not in self.busy:
            self.busy[db] = db.transaction()
            self.busy[db].__enter__()
            db.execute("set local lock_timeout = '500ms'")

    def end(self, db: Postgres, how: str = "commit") -> None:
        if db in self.busy:
            transaction = self.busy.pop(db)
            if how == "commit":
                transaction.__exit__(None, None, None)
            else:
                with suppress(RolledBack):
                    transaction.__exit__(RolledBack, RolledBack(), None)

    def write(self, step: Any) -> None:
        """An organization's changes come from one service: two rows of one key never conflict."""
        where = step[1]
        db = self.writers[where if isinstance(where, int) else where[0]]
        self.begin(db)
        own, self.stage.db = self.stage.db, db
        try:
            change(self.stage, step)
        finally:
            self.stage.db = own

    def run(self, number: int, kind: str, hours: int, how: str) -> None:
        """A job that stays open, unless `how` ends it, until the next one replaces it."""
        db = self.jobs[number]
        self.end(db)
        self.begin(db)
        t = NOON + hours * HOUR
        work: dict[str, Callable[[], object]] = {
            "fold": lambda: fold.fold_changes(db, t),
            "batch": lambda: (
                fold.fold_changes(db, t),
                statements.recompute_backlog(db, KeyRange(), t),
            ),
            "decay": lambda: statements.recompute_due(db, KeyRange(), t),
        }
        work[kind]()
        if how:
            self.end(db, how)

    def go_home(self) -> None:
        for db in (*self.writers.values(), *self.jobs.values()):
            self.end(db)


STEPS = st.one_of(
    CHANGES.map(lambda step: ("write", step)),
    CHANGES.map(lambda step: ("write", step)),
    st.tuples(st.just("commit"), st.sampled_from([1, 2])),
    st.tuples(
        st.just("run"),
        st.sampled_from([1, 2]),
        st.sampled_from(["fold", "fold", "batch", "decay"]),
        st.integers(0, 60),
        st.sampled_from(["", "commit", "rollback"]),
    ),
)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, max_size=24))
def test_any_interleaving_ends_with_the_scores_of_a_full_evaluation(
    stage: Stage, steps: list[Any]
) -> None:
    """Writers and jobs commit in any order, jobs are rolled back: no change is lost."""
    stage.forget()
    stage.db.execute(
        "truncate crm.contacts, crm.contact_changes, crm.expanded_changes,"
        " analytics.contact_activity, scoring.intent_signals, scoring.scoring_configs,"
        " scoring.signal_configs, scoring.lead_scores, scoring.score_history,"
        " scoring.recompute_backlog, scoring.signal_alerts, scoring.threshold_outbox"
    )
    for key in EVERYBODY:
        stage.add_contact(key)
    crowd = Crowd(stage)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(change_feed, "PATIENCE", "5ms")
        patched.setattr(fold, "EXPANDED_AT_ONCE", 2)
        for kind, *what in steps:
            if kind == "write":
                crowd.write(*what)
            elif kind == "commit":
                crowd.end(crowd.writers[what[0]])
            else:
                crowd.run(*what)
        crowd.go_home()
    for db in (*crowd.writers.values(), *crowd.jobs.values()):
        db.close()
    late = NOON + 61 * HOUR
    stage.batch(late)
    stage.decay(late)
    assert stage.numbers() == stage.expected_numbers(late)
    assert (stage.entries(), pending(stage)) == ([], [])


def test_a_fold_under_way_blocks_a_second_transaction_only_for_a_moment(stage: Stage) -> None:
    """Two folds of one contact: the second leaves it to the next."""
    stage.add_contact((1, 1))
    stage.fold()
    stage.change_contact((1, 1), "a@b.example")
    with closing(Postgres(lambda: connect(stage.url))) as other, other.transaction():
        assert fold.fold_changes(other, NOON).rows_read == 1
        stage.db.execute("update crm.contacts set email = 'c@d.example'")
        assert stage.fold() == fold.Folded(0, 0)
    assert stage.fold() == fold.Folded(1, 1)
