"""`mauntic db migrate` and `db status`, from an empty database on. Adoption has its own file."""

from __future__ import annotations

import pytest

from local.migrations import DIRECTORY
from local.postgres import Server
from tests.cli.harness import Cli
from tests.scratch import scratch_database

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
