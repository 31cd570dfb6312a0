"""Migrations: files applied in order and once, failures undone, the schema printed."""

from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest

from mauntic.database.embedded.server import Server
from mauntic.database.migrations import (
    DIRECTORY,
    MigrationFailed,
    dbmate,
    dbmate_binary,
    dump_schema,
    for_libpq,
    main,
    migrate,
    normalize,
    status,
    tls_of,
)
from mauntic.database.url import DatabaseUnavailable, DatabaseUrl, connect
from mauntic.project.programs import ROOT
from tests.scratch import scratch_database

FIRST = """-- migrate:up
CREATE SCHEMA IF NOT EXISTS ops;
CREATE TABLE ops.things (name text PRIMARY KEY);
COMMENT ON TABLE ops.things IS 'Things.';
CREATE FUNCTION ops.rename() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
-- stays
UPDATE ops.things
SET name = 'new';
END $$;
"""
SECOND = "-- migrate:up\nALTER TABLE ops.things ADD size int;\n"
BROKEN = "-- migrate:up\nCREATE TABLE ops.half (id int);\nSELECT nonsense();\n"

SCHEMA = """CREATE SCHEMA ops;

CREATE FUNCTION ops.rename() RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
-- stays
UPDATE ops.things
SET name = 'new';
END $$;

CREATE TABLE ops.things (
    name text NOT NULL
);

COMMENT ON TABLE ops.things IS 'Things.';

ALTER TABLE ONLY ops.things
    ADD CONSTRAINT things_pkey PRIMARY KEY (name);
"""


def rows(url: str, sql: str) -> Any:
    with closing(connect(url)) as connection:
        return connection.run(sql)


def written(directory: Path, *files: str) -> Path:
    for number, text in enumerate(files, start=1):
        (directory / f"{number:04}_a.sql").write_text(text)
    return directory


def test_applies_each_file_once(postgres: Server, tmp_path: Path) -> None:
    directory = written(tmp_path, FIRST)
    with scratch_database(postgres) as url:
        assert "0001_a.sql" in migrate(url, directory)
        assert migrate(url, directory) == ""
        written(tmp_path, FIRST, SECOND)
        assert "Pending: 1" in status(url, directory)
        migrate(url, directory)
        assert "Pending: 0" in status(url, directory)
        assert rows(url, "SELECT version FROM ops.schema_migrations ORDER BY 1") == [
            ["0001"],
            ["0002"],
        ]


def test_a_broken_file_leaves_nothing_and_is_named(postgres: Server, tmp_path: Path) -> None:
    directory = written(tmp_path, FIRST, BROKEN)
    with scratch_database(postgres) as url:
        with pytest.raises(MigrationFailed, match=r"0002_a(.|\n)*nonsense"):
            migrate(url, directory)
        assert rows(url, "SELECT to_regclass('ops.half')") == [[None]]
        assert "Pending: 1" in status(url, directory)


def test_writes_the_schema_and_nothing_else(postgres: Server, tmp_path: Path) -> None:
    with scratch_database(postgres) as url:
        migrate(url, written(tmp_path, FIRST))
        assert dump_schema(url) == SCHEMA


def test_schema_sql_is_what_the_migrations_make(database: str) -> None:
    schema = ROOT / "schema.sql"
    assert schema.read_text() == dump_schema(database), "run `make schema`"


def test_dbmate_without_its_package(tmp_path: Path) -> None:
    with pytest.raises(MigrationFailed, match="make setup"):
        dbmate_binary(tmp_path)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://127.0.0.1/d", "postgresql://postgres@127.0.0.1:5432/d?sslmode=disable"),
        ("postgres://u:p@localhost/d?x=1", "postgresql://u:p@localhost:5432/d?x=1&sslmode=disable"),
        (
            "postgres://u@localhost:6/d?sslmode=require",
            "postgresql://u@localhost:6/d?sslmode=require",
        ),
        (
            "postgres://db.example/d?sslmode=disable",
            "postgresql://postgres@db.example:5432/d?sslmode=disable",
        ),
        (
            "postgres://u:a%20$b:c@[::1]/d",
            "postgresql://u:a%20%24b%3Ac@[::1]:5432/d?sslmode=disable",
        ),
    ],
)
def test_tls_is_off_on_the_loopback_only(url: str, expected: str) -> None:
    assert for_libpq(url) == expected


def test_a_database_elsewhere_is_not_asked_without_a_word_about_tls() -> None:
    for ask in (for_libpq, dump_schema, migrate):
        with pytest.raises(DatabaseUnavailable, match="sslmode=verify-full"):
            ask("postgres://u:secret@db.example/d")


PASSWORD = "s3cr et/?#@:%41'\"[]"


def test_no_program_of_others_shows_the_password() -> None:
    """No server listens there: each error names its address."""
    url = f"postgres://u:{quote(PASSWORD, safe='')}@127.0.0.1:9/d"
    for ask in (lambda url: dbmate(url, DIRECTORY, "migrate"), dump_schema):
        with pytest.raises((MigrationFailed, DatabaseUnavailable)) as failed:
            ask(url)
        assert "s3cr" not in unquote(str(failed.value))


def test_pg_dump_checks_the_certificate_that_the_url_asks_for() -> None:
    to = DatabaseUrl.parse("postgres://u@db.example/d?sslmode=verify-full&sslrootcert=/ca.pem")
    assert tls_of(to) == {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/ca.pem"}
    assert tls_of(DatabaseUrl.parse("postgres://u@db.example/d?sslmode=verify-full"))[
        "PGSSLROOTCERT"
    ]
    assert tls_of(DatabaseUrl.parse("postgres://u@127.0.0.1/d")) == {}


def test_an_empty_dump_is_empty() -> None:
    assert normalize("--\n-- PostgreSQL database dump\n--\n\nSET x = 1;\n") == ""


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sideways"]) == 2
    assert "up | status | dump" in capsys.readouterr().err


def test_command_line_uses_database_url(
    postgres: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres.url.replace("/mauntic", "/nowhere"))
    assert main(["status"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_what_other_programs_say_steers_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], postgres: Server
) -> None:
    def failed(url: str) -> str:
        raise MigrationFailed("Error: pq: \x1b]52;c;eA==\x07 \u202e")

    monkeypatch.setattr("mauntic.database.migrations.migrate", failed)
    monkeypatch.setenv("DATABASE_URL", postgres.url)
    assert main(["up"]) == 1
    assert capsys.readouterr().err == "Error: pq: \\x1b]52;c;eA==\\x07 \\u202e\n"
