"""The administrator's defaults change neither a result nor a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from analytics.worker import WORKER
from mauntic.adopt.direct import Direct
from mauntic.database.url import connect
from mauntic.operations.connection import database_at
from shared.adapters.postgres.client import Postgres
from shared.errors import DatabaseError
from shared.tick.dispatch import dispatch
from tests.fakes import World
from tests.roles import HOSTILE, as_owner

ROOT = Path(__file__).resolve().parents[4]

# Required by the contract and the vendor: Hyperdrive ends a statement after 60 s.
EXPECTED = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "search_path": "pg_catalog, pg_temp",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "statement_timeout": "55s",
    "lock_timeout": "50s",
    "idle_in_transaction_session_timeout": "1min",
    "work_mem": "64MB",
    "jit": "off",
    "transaction_isolation": "read committed",
    "transaction_read_only": "off",
    "client_encoding": "UTF8",
}
LOOK = "select name, current_setting(name) as value from unnest(cast(:names as text[])) as name"


@pytest.fixture
def hostile(database: str) -> str:
    """A database whose defaults are all wrong."""
    with closing(connect(database)) as owner:
        [[name]] = owner.run("select current_database()")
        for setting, to in HOSTILE.items():
            owner.run(f"alter database {name} set {setting} = '{to}'")
    return database


@pytest.fixture
def worker(hostile: str) -> Iterator[Postgres]:
    """As a worker connects: without a setting of its own."""
    with closing(Postgres(lambda: as_owner(hostile))) as db:
        yield db


def settings(db: Postgres) -> dict[str, str]:
    return {row["name"]: row["value"] for row in db.rows(LOOK, names=list(EXPECTED))}


def test_the_defaults_are_hostile(hostile: str) -> None:
    with closing(as_owner(hostile)) as bare:
        [[found]] = bare.run("select current_setting('transaction_isolation')")
        assert found == "serializable"
        [[shown]] = bare.run("select cast(date '2026-03-01' as text)")
        assert shown == "01/03/2026"


def test_a_transaction_has_its_own_settings(worker: Postgres) -> None:
    with worker.transaction():
        assert settings(worker) == EXPECTED
    with worker.transaction():  # the next one too
        worker.execute("select 1")
        assert settings(worker) == EXPECTED


def test_a_statement_on_its_own_has_them_too(worker: Postgres) -> None:
    assert settings(worker) == EXPECTED
    with pytest.raises(DatabaseError, match="22012"):
        worker.rows("select 1 / cast(:zero as integer) as broken", zero=0)
    assert settings(worker) == EXPECTED


def test_a_statement_on_its_own_commits_or_leaves_nothing(worker: Postgres, hostile: str) -> None:
    note = "insert into ops.schedules (job_type, note) values (:job, :note)"
    assert worker.execute(note, job="a.b", note="Jörg, Ω, 日本") == 1
    with pytest.raises(DatabaseError, match="23505"):
        worker.execute(note, job="a.b", note="again")
    with closing(database_at(hostile)) as other:
        assert other.rows("select note from ops.schedules") == [{"note": "Jörg, Ω, 日本"}]


def test_values_come_back_as_they_were(worker: Postgres) -> None:
    values = {
        "day": date(2026, 3, 1),
        "at": datetime(2026, 3, 1, 4, 5, tzinfo=UTC),
        "bytes": b"\x00\\\xff",
        "float": 0.1 + 0.2,
        "span": timedelta(days=-2, seconds=3),
        "list": [1, None, 3],
        "text": "back\\slash 'quoted' Ω",
    }
    [row] = worker.rows(
        "select cast(:day as date) as day, cast(:at as timestamptz) as at,"
        " cast(:bytes as bytea) as bytes, cast(:float as double precision) as float,"
        " cast(:span as interval) as span, cast(:list as integer[]) as list,"
        " cast(:text as text) as text",
        **values,
    )
    assert row == values


def test_commands_have_them_as_well(hostile: str) -> None:
    expected = EXPECTED | {
        "statement_timeout": "0", "idle_in_transaction_session_timeout": "10min"
    }  # fmt: skip
    with closing(database_at(hostile)) as db:
        assert settings(db) == expected
        with db.transaction():
            assert settings(db) == expected
    with closing(Direct(hostile)) as db:
        assert settings(db) == expected
        db.execute("create index concurrently by_note on ops.schedules (note)")
        with db.transaction():
            assert settings(db) == expected


def test_a_tick_on_a_hostile_database_means_its_hour(hostile: str) -> None:
    outside = World(hostile)
    tick = datetime(2026, 11, 5, 10, tzinfo=UTC)
    outside.now = tick + timedelta(seconds=5)
    ports = outside.ports()
    asyncio.run(dispatch(WORKER, "0 * * * *", tick, ports))
    hours = [body for body in outside.queue.sent if body["type"] == "analytics.aggregate-hourly"]
    assert [datetime.fromisoformat(body["scheduledFor"]) for body in hours] == [tick]
    with closing(database_at(hostile)) as db:
        [row] = db.rows(
            "select window_start, window_end from ops.job_runs"
            " where job_type = 'analytics.aggregate-hourly'"
        )
    assert (row["window_start"], row["window_end"]) == (tick - timedelta(hours=1), tick)


def test_a_transaction_without_a_statement_asks_nothing(worker: Postgres) -> None:
    with worker.transaction():
        pass
    with pytest.raises(KeyError), worker.transaction():
        raise KeyError
    assert settings(worker) == EXPECTED


def test_no_lock_is_advisory() -> None:
    """Hyperdrive refuses them: https://developers.cloudflare.com/hyperdrive/platform/limits/"""
    places = [
        path.relative_to(ROOT).as_posix()
        for folder in ("shared", "workers", "mauntic", "migrations")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".sql", ".mjs") and "advisory" in path.read_text().lower()
    ]
    assert places == ["mauntic/operations/sql/demo.sql"]  # on a direct connection, for its lifetime
