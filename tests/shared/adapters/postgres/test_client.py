"""The statements that are sent together, and their effect on the transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.adapters.postgres.pipelined import Connection
from shared.errors import DatabaseError


@pytest.fixture
def db(database: str) -> Iterator[Postgres]:
    with closing(Postgres(lambda: connect(database))) as opened:
        opened.execute("create table ops.numbers (n integer primary key)")
        yield opened


def numbers(db: Postgres) -> list[int]:
    return [row["n"] for row in db.rows("select n from ops.numbers order by n")]


def add(db: Postgres, n: int) -> None:
    db.execute("insert into ops.numbers values (:n)", n=n)


def counted_trips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of statements of each round trip."""
    trips: list[int] = []
    ask = Connection._ask

    def counted(self: Connection, questions: list[tuple[str, bytes]]) -> object:
        trips.append(len(questions))
        return ask(self, questions)

    monkeypatch.setattr(Connection, "_ask", counted)
    return trips


def test_what_runs_ahead_costs_no_round_trip(db: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    trips = counted_trips(monkeypatch)
    with db.transaction():
        db.ahead("savepoint one")
        add(db, 1)
        db.ahead("-- A comment.\nset local work_mem = '7MB'")
        db.ahead("savepoint two")
        [row] = db.rows("select current_setting('work_mem') as work_mem, 1 = :one as yes", one=1)
        db.ahead("release savepoint two")
    assert row == {"work_mem": "7MB", "yes": True}
    assert len(trips) == 3  # two statements and the commit


def test_statements_that_go_out_together_cost_one_round_trip(
    db: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips = counted_trips(monkeypatch)
    insert = "insert into ops.numbers values (:n) returning n"
    with db.transaction():
        found = db.together(
            (insert, {"n": 1}), ("select n * 2 as twice from ops.numbers", {}), (insert, {"n": 2})
        )
        last = db.together(("select sum(n) as sum from ops.numbers", {}), commit=True)
    assert [*found, *last] == [[{"n": 1}], [{"twice": 2}], [{"n": 2}], [{"sum": 3}]]
    assert trips == [4, 2]  # with the begin, and with the commit
    assert numbers(db) == [1, 2]


@pytest.mark.parametrize("commit", [False, True])
def test_after_a_refusal_nothing_of_what_went_out_together_remains(
    db: Postgres, commit: bool
) -> None:
    insert = "insert into ops.numbers values (:n)"
    with pytest.raises(DatabaseError) as caught, db.transaction():
        db.together(*((insert, {"n": n}) for n in (1, 2, 1, 3)), commit=commit)
    assert caught.value.sqlstate == "23505"
    assert numbers(db) == []
    with db.transaction():
        add(db, 4)
    assert numbers(db) == [4]


def test_statements_go_out_together_in_a_transaction_alone(db: Postgres) -> None:
    with pytest.raises(RuntimeError, match="no transaction"):
        db.together(("select 1", {}))


def test_a_savepoint_ahead_of_a_statement_undoes_it(db: Postgres) -> None:
    with db.transaction():
        add(db, 1)
        db.ahead("savepoint here")
        with pytest.raises(DatabaseError):
            add(db, 1)
        db.execute("rollback to savepoint here")
        add(db, 2)
    with db.transaction():
        db.ahead("savepoint at_the_start")
        add(db, 3)
        db.execute("rollback to savepoint at_the_start")
        add(db, 4)
    assert numbers(db) == [1, 2, 4]


def test_nothing_runs_ahead_of_another_transaction(db: Postgres) -> None:
    with db.transaction():
        db.ahead("select 1 / 0")
    with db.transaction():
        add(db, 1)
        db.ahead("select 1 / 0")
    with suppress(KeyError), db.transaction():
        db.ahead("select 1 / 0")
        raise KeyError
    with db.transaction():
        add(db, 2)
    assert numbers(db) == [1, 2]
    with pytest.raises(RuntimeError, match="no transaction"):
        db.ahead("select 1")


def test_what_fails_ahead_fails_the_transaction(db: Postgres) -> None:
    error = None
    try:
        with db.transaction():
            db.ahead("select 1 / 0")
            add(db, 1)
    except DatabaseError as raised:
        error = raised
    assert error is not None
    assert error.sqlstate == "22012"
    assert numbers(db) == []
