"""The platform's writers: they append to the change feed, and wait for nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import pytest

from mauntic.database.url import connect
from scoring.reference.score import Event, FactorConfig, Signal, SignalConfig
from scoring.store import statements
from scoring.store.fold import fold_changes
from shared.adapters.postgres.client import Postgres
from shared.ledger.shards import KeyRange
from tests.workers.scoring.stage import NOON, Stage, org, person

VISIT = (
    "insert into analytics.contact_activity (organization_id, contact_id, event_type, occurred_at)"
    " values (:org, :contact, 'page_visited', :at)"
)
SIGNAL = (
    "insert into scoring.intent_signals (organization_id, contact_id, signal_type, detected_at)"
    " values (:org, :contact, 'DEMO_REQUEST', :at)"
)
REQUEST = (
    "select scoring.request_recompute(array[cast(:org as uuid)],"
    " array[cast(:contact as uuid)], 'x'), cast(:at as timestamptz)"
)
ALERT = (
    "select scoring.open_alert(cast(:org as uuid), cast(:contact as uuid), 'X', 'low',"
    " cast(:at as timestamptz))"
)


@contextmanager
def writer(stage: Stage) -> Iterator[Postgres]:
    """A transaction of the platform that waits at most half a second for a lock."""
    with closing(Postgres(lambda: connect(stage.url))) as db, db.transaction():
        db.execute("set local lock_timeout = '500ms'")
        yield db


def write(db: Postgres, sql: str, contact: int) -> None:
    db.execute(sql, org=org(1), contact=person(contact), at=NOON)


def feed(stage: Stage) -> list[tuple[Any, ...]]:
    """Return the rows of the feed, without random values."""
    rows = stage.db.rows("select * from crm.contact_changes order by id")
    assert {row["consumer"] for row in rows} <= {"scoring"}
    return [
        (
            row["organization_id"].int,
            row["contact_id"] and row["contact_id"].int - 1_000,
            row["source"],
            row["name"],
        )
        for row in rows
    ]


@pytest.mark.parametrize("sql", [VISIT, SIGNAL, REQUEST, ALERT])
def test_two_writers_in_opposite_order_do_not_meet(stage: Stage, sql: str) -> None:
    """Each writes about both contacts in one transaction, and both commit."""
    with writer(stage) as one, writer(stage) as other:
        write(one, sql, 1)
        write(other, sql, 2)
        write(one, sql, 2)
        write(other, sql, 1)
    assert sorted({contact for _, contact, *_ in feed(stage)}) == [1, 2]
    assert len(feed(stage)) == 4


def test_writers_at_once_have_no_deadlock(stage: Stage) -> None:
    """Four of them, twenty events a transaction, few contacts."""
    failures: list[BaseException] = []

    def ingest(number: int) -> None:
        try:
            with closing(Postgres(lambda: connect(stage.url))) as db:
                for round_ in range(10):
                    with db.transaction():
                        for place in range(20):
                            write(db, VISIT, (number * 7 + round_ * 3 + place * (number + 1)) % 10)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ingest, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(feed(stage)) == 4 * 10 * 20
    assert sorted(contact for _, contact in stage.waiting()) == list(range(10))


@pytest.mark.parametrize("sql", [VISIT, SIGNAL, REQUEST, ALERT])
def test_an_open_transaction_keeps_no_other_writer_waiting(stage: Stage, sql: str) -> None:
    with writer(stage) as one:
        write(one, sql, 1)
        with writer(stage) as other:
            write(other, sql, 1)


@pytest.mark.parametrize("job", ["fold", "batch", "decay", "request"])
def test_a_run_that_is_not_committed_keeps_no_writer_waiting(stage: Stage, job: str) -> None:
    stage.add_contact((1, 1), email="a@b.example")
    stage.add_signal((1, 1), Signal("DEMO_REQUEST", NOON - timedelta(hours=20)))
    if job == "decay":
        stage.batch(NOON - timedelta(hours=10))
    if job == "batch":
        stage.fold()
    with stage.job() as at_work:
        match job:
            case "fold":
                assert fold_changes(at_work, NOON).rows_read == 2
            case "batch":
                assert statements.recompute_backlog(at_work, KeyRange(), NOON).rows_written == 1
            case "decay":
                assert statements.recompute_due(at_work, KeyRange(), NOON).rows_written == 1
            case "request":
                assert statements.request_contacts(at_work, [(org(1), person(1))]).versions
        with writer(stage) as db:
            for sql in (VISIT, SIGNAL, REQUEST, ALERT):
                write(db, sql, 1)
            db.execute("update crm.contacts set email = 'c@d.example' where id = :id", id=person(1))
            db.execute(
                "insert into scoring.scoring_configs values (:org, 'fit', 'has_email', 3, true)",
                org=org(1),
            )
            db.execute("delete from crm.contacts where id = :id", id=person(1))


def test_a_statement_leaves_one_row_for_a_contact(stage: Stage) -> None:
    stage.db.execute(
        "insert into analytics.contact_activity"
        " (organization_id, contact_id, event_type, occurred_at)"
        " select :o, :c, kind, :t from unnest(array['email_opened', 'email_clicked', 'email_sent'])"
        " as kind, generate_series(1, 3)",
        o=org(1),
        c=person(1),
        t=NOON,
    )
    stage.db.execute(
        "insert into scoring.intent_signals (organization_id, contact_id, signal_type, detected_at)"
        " select :o, :c, kind, :t from unnest(array['A', 'B']) as kind, generate_series(1, 3)",
        o=org(1),
        c=person(1),
        t=NOON,
    )
    stage.db.execute("update scoring.intent_signals set weight = 3")
    stage.db.execute("delete from scoring.intent_signals")
    assert feed(stage) == [
        (1, 1, "event", None),
        (1, 1, "signal", "A"),
        (1, 1, "signal", "B"),
        (1, 1, "signal", None),
        (1, 1, "signal", None),
    ]


def test_a_setting_is_one_row_however_many_contacts_there_are(stage: Stage) -> None:
    for contact in range(20):
        stage.add_contact((1, contact))
        stage.add_signal((1, contact), Signal("DEMO_REQUEST", NOON))
    stage.db.execute("truncate crm.contact_changes")
    stage.set_factor(1, "fit", "has_email", FactorConfig(9))
    stage.set_signal(1, "DEMO_REQUEST", SignalConfig(9))
    assert feed(stage) == [(1, None, "config", None), (1, None, "config", "DEMO_REQUEST")]


def test_no_statement_of_a_setting_reads_contacts(stage: Stage) -> None:
    """No signals are read either: the cost does not grow with the organization."""
    read = (
        "select relname, seq_scan + coalesce(idx_scan, 0) as scans from pg_stat_xact_user_tables"
        " where relname in ('contacts', 'intent_signals') order by relname"
    )
    with stage.db.transaction():
        was = stage.db.rows(read)
        stage.set_factor(1, "fit", "has_email", FactorConfig(9))
        stage.set_factor(1, "fit", "has_email", FactorConfig(8))
        stage.set_signal(1, "DEMO_REQUEST", SignalConfig(9))
        assert stage.db.rows(read) == was


def test_what_changes_nothing_that_counts_leaves_no_row(stage: Stage) -> None:
    stage.add_contact((1, 1))
    stage.db.execute("truncate crm.contact_changes")
    stage.db.execute("update crm.contacts set stage = 'lead', last_activity_at = now()")
    stage.add_event((1, 1), Event("email_sent", NOON))
    assert feed(stage) == []


def test_the_platform_s_role_needs_no_right_on_the_feed(stage: Stage) -> None:
    """Triggers and functions run with the rights of their owner, and resolve names safely."""
    functions = stage.db.rows(
        "select proname, prosecdef, proconfig from pg_proc"
        " where pronamespace = 'scoring'::regnamespace"
        " and (prorettype = 'trigger'::regtype or proname in ('request_recompute', 'open_alert'))"
        " and proname <> 'set_alert_deadline'"
    )
    assert len(functions) == 13
    for one in functions:
        assert one["prosecdef"], one["proname"]
        assert one["proconfig"] == ["search_path=pg_catalog, pg_temp"], one["proname"]
