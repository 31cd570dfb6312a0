"""Postgres understands every named statement of a worker, with the migrated schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mauntic.database.embedded.server import Server
from mauntic.database.url import connect
from shared.sql.blocks import SqlBlocks
from tests.scratch import scratch_database

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = [ROOT / "shared" / "sql", *sorted(ROOT.glob("workers/*/sql"))]
# A command for the session has no plan.
SETTINGS = re.compile(r"^(--[^\n]*\n)*\s*(begin|commit|set)\b", re.IGNORECASE)


def blocks(*, planned: bool) -> list[Any]:
    """Return every block that can be planned, by folder and name."""
    return [
        pytest.param(folder, name, id=f"{folder.parent.name}-{name}")
        for folder in FOLDERS
        for name, text in SqlBlocks(folder).blocks.items()
        if not (planned and SETTINGS.match(text))
    ]


@pytest.fixture(scope="module")
def migrated_connection(postgres: Server, migrated: str) -> Iterator[Any]:
    with scratch_database(postgres, migrated) as url, closing(connect(url)) as connection:
        yield connection


@pytest.mark.parametrize(("folder", "name"), blocks(planned=True))
def test_the_statement_is_understood(folder: Path, name: str, migrated_connection: Any) -> None:
    """Parsed and planned as a prepared statement: tables, columns and types of parameters."""
    migrated_connection.prepare(SqlBlocks(folder)[name]).close()


@pytest.mark.parametrize(("folder", "name"), blocks(planned=False))
def test_a_parameter_is_cast_in_a_way_that_can_be_read(folder: Path, name: str) -> None:
    assert not re.search(r":\w+::", SqlBlocks(folder)[name])


def test_no_folder_is_without_statements() -> None:
    assert all(SqlBlocks(folder).blocks for folder in FOLDERS)
