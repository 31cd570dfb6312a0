"""The change feed `crm.contact_changes`: the common part of all consumers' folds.

The platform's writers append rows and wait for nothing. A consumer's fold deletes its rows and
applies them, in one transaction. It skips rows that other transactions have locked.
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
# The time that a fold waits for a transaction that is inserting the same key. It is much shorter
# than the server's deadlock_timeout (1 s).
PATIENCE = "200ms"
LOCKS_MET_MAX = 20  # per fold; the next one takes the rest
COUNTED_MAX = 1_000_000

T = TypeVar("T")


@dataclass(frozen=True)
class FeedState:
    """The number of a consumer's pending rows, counted up to COUNTED_MAX, and the age of the
    oldest.
    """

    count: int
    oldest_at: datetime | None


def has_changes(db: Database, consumer: str) -> bool:
    """Return whether the feed has rows for a consumer."""
    [row] = db.rows(SQL["has_changes"], consumer=consumer)
    return bool(row["found"])


def feed_state(db: Database, consumer: str) -> FeedState:
    """Return the depth of the feed for a consumer."""
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
    """Lock and return the change of a whole organization that is expanded next."""
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
    """Return the result of `work`, or None if a lock was not released in time.

    In that case its changes are undone, and the transaction continues.
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
    """Fold ranges of contacts; a range with a lock is halved, down to a single contact.

    Row locks need no such care, because statements skip them. This handles a transaction that is
    inserting the same key, which no statement can skip.
    """

    db: Database
    consumer: str
    rows_max: int
    met: int = field(default=0, init=False)

    def fold(self, keys: KeyRange, work: Callable[[KeyRange], T]) -> list[T]:
        """Return the result of `work` for each range without a lock."""
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
        return [result for half in halves for result in self.fold(half, work)]

    def _middle(self, keys: KeyRange) -> Key | None:
        rows: list[dict[str, Any]] = self.db.rows(
            SQL["middle_change"], consumer=self.consumer, **keys.bounds(), rows_max=self.rows_max
        )
        return (rows[0]["organization_id"], rows[0]["contact_id"]) if rows else None
