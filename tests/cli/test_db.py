"""`mauntic db migrate` and `db status`, from an empty database on. Adoption has its own file."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from cli import findings
from local.database_url import connect
from local.migrations import DIRECTORY
from local.postgres import Server
from tests.cli.harness import Cli
from tests.scratch import scratch_database

OLD_PLATFORM = (Path(__file__).parent / "old_platform.sql").read_text()
FILES = sorted(file.name for file in DIRECTORY.glob("*.sql"))


def test_what_is_pending_is_told_and_applied_once(
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
