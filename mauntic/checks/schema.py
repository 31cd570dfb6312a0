"""Problems of the database: pending migrations, statements that do not fit its schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from pg8000.exceptions import DatabaseError, InterfaceError

from mauntic.checks import Problem
from mauntic.database.migrations import MigrationFailed, adoption_needed, in_the_way, pending
from mauntic.database.url import connect, reason
from mauntic.operations.statements import SQL
from mauntic.project.programs import ROOT
from shared.sql.blocks import SqlBlocks

AREA = "database"
# Not Postgres, or about tables that exist only within a transaction.
UNPREPARED = {"metrics.sql", "importer.sql"}


def problems(url: str) -> Iterator[Problem]:
    """Yield every problem of the database."""
    try:
        if found := in_the_way(url):
            yield Problem(AREA, "migrations", adoption_needed(found))
            return
        files = pending(url)
    except MigrationFailed as error:
        yield Problem(AREA, "migrations", str(error))
        return
    for name in files:
        yield Problem(AREA, name, "is not applied: run `mauntic db migrate`")
    yield from _unprepared(url)


def statements() -> Iterator[tuple[str, str]]:
    """Yield every SQL statement with its place."""
    folders = (ROOT / "shared" / "sql", *sorted(ROOT.glob("workers/*/sql")))
    for blocks in (*map(SqlBlocks, folders), SQL):
        folder = blocks.folder
        places = {name: path.name for path in sorted(folder.glob("*.sql")) for name in _names(path)}
        for name, text in blocks.blocks.items():
            if places[name] not in UNPREPARED:
                yield f"{folder.relative_to(ROOT).as_posix()}/{places[name]}: {name}", text


def _unprepared(url: str) -> Iterator[Problem]:
    with closing(connect(url)) as connection:
        for place, text in statements():
            try:
                connection.prepare(text).close()
            except (DatabaseError, InterfaceError) as error:
                yield Problem(AREA, place, f"does not fit the schema: {reason(error)}")


def _names(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("-- name:").strip() for line in lines if line.startswith("-- name:")]
