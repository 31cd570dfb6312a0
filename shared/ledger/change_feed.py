"""The change feed `crm.contact_changes`: what the folds of all consumers have in common.

The platform's writers append rows and wait for nothing. A consumer's fold deletes its rows and
writes what they mean, in one transaction. It passes over what other transactions have locked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from shared.errors import DatabaseError
from shared.ledger.shards import Key, KeyRange
from shared.ports import Database, Row
from shared.sql.statements import SQL

LOCK_NOT_AVAILABLE = "55P03"
# A fold waits so long for a transaction that inserts the same key at this moment. It gives up well
# before the server looks for deadlocks (1 s).
PATIENCE = "200ms"
LOCKS_MET_MAX = 20  # by one fold; what is left is for the next
COUNTED_MAX = 1_000_000

T = TypeVar("T")


@dataclass(frozen=True)
class FeedState:
    """How many rows wait for a consumer, counted up to COUNTED_MAX, and since when."""

    count: int
    oldest_at: datetime | None


def has_changes(db: Database, consumer: str) -> bool:
    """Return whether the feed holds anything for a consumer."""
    [row] = db.rows(SQL["has_changes"], consumer=consumer)
    return bool(row["found"])


def feed_state(db: Database, consumer: str) -> FeedState:
    """Return how much the feed holds for a consumer."""
    [row] = db.rows(SQL["feed_state"], consumer=consumer, most=COUNTED_MAX)
    return FeedState(row["count"], row["oldest_at"])


def note_contacts(
    db: Database, consumer: str, keys: Sequence[Key], source: str, name: str | None
) -> None:
    """Append a change of each contact."""
    db.execute(
        SQL["note_contacts"],
        consumer=consumer,
        organization_ids=[organization_id for organization_id, _ in keys],
        contact_ids=[contact_id for _, contact_id in keys],
        source=source,
        name=name,
    )


def next_whole_change(db: Database, consumer: str) -> Row | None:
    """Lock and return the change of a whole organization that is to be expanded next."""
    db.execute(SQL["drop_superseded"], consumer=consumer)
    rows = db.rows(SQL["next_whole_change"], consumer=consumer)
    return rows[0] if rows else None


def keep_progress(db: Database, change_id: int, reached: UUID | None) -> None:
    """Record how far a change is expanded; None ends it."""
    if reached is None:
        db.execute(SQL["end_whole_change"], id=change_id)
    else:
        db.execute(SQL["keep_progress"], id=change_id, reached=reached)


@contextmanager
def patience(db: Database) -> Iterator[None]:
    """Wait at most PATIENCE for each lock, within a transaction."""
    [row] = db.rows(SQL["set_patience"], patience=PATIENCE)
    yield
    db.rows(SQL["set_patience"], patience=row["was"])


def unless_locked(db: Database, work: Callable[[], T]) -> T | None:
    """Return what `work` returns, or None where a lock was not released in time.

    In that case nothing of it is done, and the transaction goes on.
    """
    db.ahead("savepoint unless_locked")
    try:
        result = work()
    except DatabaseError as error:
        if error.sqlstate != LOCK_NOT_AVAILABLE:
            raise
        db.execute("rollback to savepoint unless_locked")
        return None
    db.ahead("release savepoint unless_locked")
    return result


@dataclass
class AroundLocks:
    """Fold ranges of contacts; a range that meets a lock is halved, down to the contact.

    Locks of rows need no such care: statements skip those. This is for a transaction that inserts
    the same key at this moment, which no statement can skip.
    """

    db: Database
    consumer: str
    rows_max: int
    met: int = field(default=0, init=False)

    def fold(self, keys: KeyRange, work: Callable[[KeyRange], T]) -> list[T]:
        """Return what `work` returns for each range that met no lock."""
        if self.met >= LOCKS_MET_MAX:
            return []
        done = unless_locked(self.db, lambda: work(keys))
        if done is not None:
            return [done]
        self.met += 1
        middle = self._middle(keys)
        if middle is None:
            return []
        halves = (KeyRange(keys.first, middle), KeyRange(middle, keys.until))
        return [one for half in halves for one in self.fold(half, work)]

    def _middle(self, keys: KeyRange) -> Key | None:
        rows: list[dict[str, Any]] = self.db.rows(
            SQL["middle_change"], consumer=self.consumer, **keys.bounds(), rows_max=self.rows_max
        )
        return (rows[0]["organization_id"], rows[0]["contact_id"]) if rows else None
