"""What adoption is made of: steps that say what they found, and the careful ways to run them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mauntic.adopt.catalogue import Catalogue, read_catalogue, template
from mauntic.errors import OperatorError
from mauntic.operations.statements import SQL
from shared.errors import DatabaseError
from shared.ports import Database

# Longer than deadlock_timeout, after which Postgres calls an autovacuum off that is in the way.
LOCK_WAIT_MS = 1_500
LOCK_TRIES = 60
LOCK_PAUSE_S = 0.5
# What a portion of a walk through a table reads: 2,000 pages are 16 MB, well under a second.
PAGES_PER_PORTION = 2_000

LOCK_NOT_AVAILABLE, DEADLOCK = "55P03", "40P01"
LEANED_ON = "2BP01"


@dataclass(frozen=True)
class Step:
    """One thing to do. `found` counts the rows concerned; `take` returns how many it changed.

    `blocked` says why it cannot be taken as things stand: a person has to decide.
    """

    phase: str
    table: str
    what: str
    take: Callable[[], int | None] = field(repr=False)
    found: int | None = None
    blocked: str | None = None


@dataclass(frozen=True)
class Scene:
    """Where adoption works: the database, its URL for pg_dump, what it should become."""

    db: Database
    url: str
    target_db: Database
    target: Catalogue
    statements: list[str]  # that make the target, as pg_dump writes them, in its order

    def now(self) -> Catalogue:
        return read_catalogue(self.db)

    def shared_tables(self, now: Catalogue) -> list[str]:
        """The tables of the target that exist already."""
        return [table for table in self.target.columns if table in now.columns]

    def count(
        self, block: str, parameters: Mapping[str, object] | None = None, /, **words: object
    ) -> int:
        """The answer of a counting template."""
        return int(self.db.rows(template(block, **words), **parameters or {})[0]["found"])


# A statement, alone or with the values of its parameters.
Statement = str | tuple[str, Mapping[str, object]]


def shortly(db: Database, *statements: Statement) -> int | None:
    """Run the statements in one transaction that waits for locks a moment at most, again and again.

    A statement that waits for a table's lock makes all later ones wait behind it: so it gives up
    soon, and is tried again later.
    """
    for _ in range(LOCK_TRIES):
        try:
            with db.transaction():
                db.execute(template("begin_shortly", lock_wait_ms=LOCK_WAIT_MS))
                return [_execute(db, statement) for statement in statements][-1]
        except DatabaseError as error:
            if error.sqlstate == LEANED_ON:
                raise OperatorError(
                    f"Something else leans on what has to change: {error}."
                ) from None
            if error.sqlstate not in (LOCK_NOT_AVAILABLE, DEADLOCK):
                raise
            time.sleep(LOCK_PAUSE_S)
    raise OperatorError(
        "A table stayed locked for all the while: end the long transaction, then apply again."
    )


def at_length(db: Database, *statements: Statement) -> int | None:
    """Run statements that take their time under locks that let others read and write."""
    db.execute(template("begin_at_length"))
    return [_execute(db, statement) for statement in statements][-1]


def _execute(db: Database, statement: Statement) -> int:
    text, values = (statement, {}) if isinstance(statement, str) else statement
    return db.execute(text, **values)


def walk(db: Database, table: str, block: str, **words: object) -> int:
    """Run a template over the table, a portion of its pages at a time; the rows it changed.

    Rows that are written meanwhile are left to a trigger, a default or the next pass.
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
