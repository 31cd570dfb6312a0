"""The steps of an adoption, with the ways to run statements without long locks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mauntic.adopt.catalogue import Catalogue, Index, read_catalogue, read_indexes, template
from mauntic.errors import OperatorError
from mauntic.operations.statements import SQL
from shared.errors import DatabaseError
from shared.ports import Database

# Longer than deadlock_timeout, after which Postgres cancels an autovacuum that blocks the lock.
LOCK_WAIT_MS = 1_500
LOCK_TRIES = 60
LOCK_PAUSE_S = 0.5
# The pages per portion of a walk through a table: 2,000 pages are 16 MB, less than a second.
PAGES_PER_PORTION = 2_000

LOCK_NOT_AVAILABLE, DEADLOCK = "55P03", "40P01"
LEANED_ON = "2BP01"


@dataclass(frozen=True)
class Step:
    """One step. `found` is the number of affected rows; `take` executes the step and returns the
    number of changed rows.

    `blocked` is the reason if it cannot be executed now: a person must decide.
    """

    phase: str
    table: str
    action: str
    take: Callable[[], int | None] = field(repr=False)
    found: int | None = None
    blocked: str | None = None


@dataclass(frozen=True)
class Scene:
    """The database to adopt, its URL for pg_dump, and the target."""

    db: Database
    url: str
    target_db: Database
    target: Catalogue
    statements: list[str]  # the statements of the target, as pg_dump writes them, in its order

    def now(self) -> Catalogue:
        return read_catalogue(self.db)

    def indexes_now(self, table: str) -> list[Index]:
        """Return the indexes of one table: a step needs no other."""
        return read_indexes(self.db, table)

    def shared_tables(self, now: Catalogue) -> list[str]:
        """Return the tables of the target that exist already."""
        return [table for table in self.target.columns if table in now.columns]

    def count(
        self, block: str, parameters: Mapping[str, object] | None = None, /, **words: object
    ) -> int:
        """Return the result of a counting template."""
        return int(self.db.rows(template(block, **words), **parameters or {})[0]["found"])


# A statement, alone or with the values of its parameters.
Statement = str | tuple[str, Mapping[str, object]]


def shortly(db: Database, *statements: Statement) -> int | None:
    """Run the statements in one transaction that waits only briefly for locks, in several attempts.

    All later statements wait behind one that waits for a table's lock, so it gives up soon and
    tries again later.
    """
    for _ in range(LOCK_TRIES):
        try:
            with db.transaction():
                db.execute(template("begin_shortly", lock_wait_ms=LOCK_WAIT_MS))
                return [_execute(db, statement) for statement in statements][-1]
        except DatabaseError as error:
            if error.sqlstate == LEANED_ON:
                raise OperatorError(
                    f"Another object depends on what must change: {error}."
                ) from None
            if error.sqlstate not in (LOCK_NOT_AVAILABLE, DEADLOCK):
                raise
            time.sleep(LOCK_PAUSE_S)
    raise OperatorError(
        "A table stayed locked during all attempts: end the long transaction and apply again."
    )


def at_length(db: Database, *statements: Statement) -> int | None:
    """Run long statements under locks that let other sessions read and write."""
    db.execute(template("begin_at_length"))
    return [_execute(db, statement) for statement in statements][-1]


def _execute(db: Database, statement: Statement) -> int:
    text, values = (statement, {}) if isinstance(statement, str) else statement
    return db.execute(text, **values)


def walk(db: Database, table: str, block: str, **words: object) -> int:
    """Run a template over the table, one portion of pages at a time; return the number of changed
    rows.

    Rows that are written in the meantime are handled by a trigger, a default, or the next pass.
    """
    pages = int(db.rows(SQL["adopt_pages"], table_name=table)[0]["pages"])
    changed = 0
    for first in range(0, pages, PAGES_PER_PORTION):
        portion: dict[str, object] = {
            "first": f"({first},0)",
            "last": f"({first + PAGES_PER_PORTION},0)",
        }
        changed += at_length(db, (template(block, table=table, **words), portion)) or 0
    return changed
