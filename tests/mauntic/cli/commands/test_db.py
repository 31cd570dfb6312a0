"""`mauntic db migrate` and `db status`, from an empty database on. Adoption has its own file."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from mauntic.cutover import findings
from mauntic.database.embedded.server import Server
from mauntic.database.migrations import DIRECTORY
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from tests.mauntic.harness import Cli
from tests.scratch import scratch_database

OLD_PLATFORM = (Path(__file__).parents[2] / "old_platform.sql").read_text()
FILES = sorted(file.name for file in DIRECTORY.glob("*.sql"))


def test_pending_migrations_are_listed_and_applied_once(
    cli: Cli, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scratch_database(postgres) as url:
        monkeypatch.setenv("DATABASE_URL", url)
        assert cli("db", "status", "--json").json == [
            {"migration": file, "applied": False} for file in FILES
        ]
        assert cli("db", "migrate", "--json").json == {"applied": FILES}
        assert cli("db", "migrate", "--json").json == {"applied": []}
        assert all(row["applied"] for row in cli("db", "status", "--json").json)
        assert cli("db", "migrate").out == "Nothing is pending.\n"
        assert f"[X] {FILES[0]}" in cli("db", "status").out


def schemas(url: str) -> list[str]:
    with closing(connect(url)) as connection:
        rows = connection.run(
            "select nspname from pg_namespace where nspname !~ '^(pg_|information_schema)'"
            " order by 1"
        )
        return [name for (name,) in rows]


def test_an_existing_database_is_led_to_its_adoption_and_left_as_it_is(
    cli: Cli, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scratch_database(postgres) as url:
        monkeypatch.setenv("DATABASE_URL", url)
        with closing(connect(url)) as connection:
            connection.run(OLD_PLATFORM)
        before = schemas(url)
        for command in (("db", "migrate"), ("check",)):
            answer = cli(*command)
            assert answer.code == 1
            assert "mauntic db adopt --plan" in answer.out + answer.err
            assert "mauntic db migrate" not in answer.out + answer.err
            assert "Applied" not in answer.out + answer.err
        [finding] = findings.of_schema(url)
        assert (finding.done, "mauntic db adopt" in finding.why) == (False, True)
        assert cli("db", "status").code == 0
        assert schemas(url) == before


def test_grants_are_printed_and_with_apply_run(cli: Cli, db: Postgres) -> None:
    printed = cli("db", "grants", "--role", "workers_of_a_test")
    assert printed.code == 0
    assert printed.out.startswith("begin;\n")
    exists = "select count(*) as n from pg_roles where rolname = 'workers_of_a_test'"
    assert db.rows(exists) == [{"n": 0}]
    try:
        applied = cli("db", "grants", "--role", "workers_of_a_test", "--apply")
        assert applied.code == 0
        assert "workers_of_a_test" in applied.out
        may = "select has_table_privilege('workers_of_a_test', 'ops.job_runs', 'insert') as may"
        assert db.rows(may) == [{"may": True}]
    finally:
        db.execute("drop owned by workers_of_a_test; drop role workers_of_a_test")


def test_a_role_of_another_form_is_refused(cli: Cli) -> None:
    answer = cli("db", "grants", "--role", 'x"; drop table y')
    assert answer.code == 1
    assert "not a valid role name" in answer.err


def test_retention_says_what_is_to_go_and_deletes_nothing(
    cli: Cli, db: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.execute(
        "insert into ops.dead_letters (queue, message_id, reason, attempts, dead_at)"
        " values ('q', 'old', 'invalid', 1, now() - interval '200 days'),"
        " ('q', 'new', 'invalid', 1, now() - interval '20 days')"
    )
    monkeypatch.setenv("RETENTION_DAYS_SCORE_HISTORY", "never")
    rows = {row["table"]: row for row in cli("db", "retention", "--json").json}
    letters = rows["ops.dead_letters"]
    assert (letters["rows"], letters["to go"], letters["days"]) == (2, 1, 180)
    assert letters["setting"] == "RETENTION_DAYS_DEAD_LETTERS"
    assert rows["scoring.score_history"]["days"] == "never"
    monkeypatch.setenv("RETENTION_DAYS_DEAD_LETTERS", "10")
    rows = {row["table"]: row for row in cli("db", "retention", "--json").json}
    assert rows["ops.dead_letters"]["to go"] == 2
    assert db.rows("select count(*) as n from ops.dead_letters") == [{"n": 2}]
    monkeypatch.setenv("RETENTION_DAYS_DEAD_LETTERS", "soon")
    answer = cli("db", "retention")
    assert (answer.code, answer.out) == (1, "")
    assert "RETENTION_DAYS_DEAD_LETTERS must be a number of days" in answer.err
