"""While `mauntic dev` runs, a command uses its database and starts no other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mauntic.database.url import with_database
from mauntic.local import dev_state
from mauntic.local.dev_state import announce
from mauntic.operations import connection
from mauntic.operations.system import SystemEnded
from shared.adapters.postgres.client import Postgres
from shared.errors import DatabaseUnreachable
from tests.mauntic.harness import HOURLY, Cli

TOKEN = "0" * 64
NOWHERE = "postgresql://u:p@127.0.0.1:1/d"


@pytest.fixture
def alone(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command without DATABASE_URL, in a separate folder; it must not start a server."""
    monkeypatch.setattr(dev_state, "STATE", tmp_path / "runtime.json")
    monkeypatch.setattr(connection, "open_server", lambda environment: pytest.fail("started"))
    monkeypatch.delenv("DATABASE_URL")
    return cli


@pytest.fixture
def beside_dev(alone: Cli, database: str) -> Iterator[Cli]:
    with announce("http://127.0.0.1:8787", TOKEN, database):
        yield alone


def test_it_is_the_database_of_the_running_dev(beside_dev: Cli, db: Postgres) -> None:
    assert beside_dev("jobs", "pause", HOURLY, "--note", "why").code == 0
    [row] = db.rows("select note from ops.schedules where paused")
    assert row["note"] == "why"


def test_status_and_check_look_at_that_one_too(beside_dev: Cli, db: Postgres) -> None:
    db.execute("delete from ops.schema_migrations where version = '0003'")
    assert "[ ] 0003" in beside_dev("db", "status").out
    found = beside_dev("check", "--json").json["problems"]
    assert any("0003" in problem["subject"] for problem in found)


def test_a_database_that_died_under_dev_is_no_reason_for_another(alone: Cli) -> None:
    """Nor to end dev, which would lose the messages of its queues."""
    with announce("http://127.0.0.1:8787", TOKEN, NOWHERE):
        answer = alone("jobs", "list")
    assert answer.code == 1
    text = " ".join(answer.err.split())
    assert "The database at 127.0.0.1:1/d does not answer" in text
    assert f"start it; `mauntic dev` (process {os.getpid()}), which uses it, then continues" in text
    assert "DATABASE_URL" not in answer.err


def test_a_dev_that_ends_with_its_database_is_named(alone: Cli, database: str) -> None:
    """A lost connection alone would be reported with the network's text."""

    def lose() -> None:
        with connection.local_url():
            dev_state.STATE.unlink()
            raise DatabaseUnreachable("network error")

    with announce("http://127.0.0.1:8787", TOKEN, database):
        dev = dev_state.running_dev()
        assert dev is not None
        with pytest.raises(SystemEnded, match=f"process {dev.pid}.* start `mauntic dev` again"):
            lose()


def test_another_database_than_dev_s_is_told(
    cli: Cli, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev_state, "STATE", tmp_path / "runtime.json")
    with announce("http://127.0.0.1:8787", TOKEN, with_database(database, "other")):
        assert "unset DATABASE_URL" in cli("jobs", "list").err
    with announce("http://127.0.0.1:8787", TOKEN, database):
        assert cli("jobs", "list").err == ""


def test_remote_never_falls_back_to_a_local_database(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", NOWHERE)
    answer = cli("jobs", "list", "--remote")
    assert answer.code == 1
    assert "127.0.0.1:1/d does not answer" in answer.err
    assert "unset" not in answer.err


@pytest.mark.parametrize(
    ("url", "token", "remedy"),
    [
        ("http://127.0.0.1:9", "", "Set MAUNTIC_CONTROL_TOKEN"),
        ("http://127.0.0.1:9", "guess", "Set MAUNTIC_CONTROL_TOKEN"),
        ("http://evil.example:9", TOKEN, "must look like http://127.0.0.1:8787"),
        ("http://127.0.0.1:9@evil.example", TOKEN, "must look like"),
    ],
)
def test_a_named_system_needs_its_token_and_is_on_this_machine(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, url: str, token: str, remedy: str
) -> None:
    monkeypatch.setenv("MAUNTIC_CONTROL_URL", url)
    monkeypatch.setenv("MAUNTIC_CONTROL_TOKEN", token)
    answer = cli("queues", "status")
    assert (answer.code, remedy in answer.err) == (1, True), answer
