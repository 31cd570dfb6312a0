"""Fold the change feed: contacts to evaluate, and the platform's changes of members."""

from __future__ import annotations

from uuid import UUID

from journeys.store.statements import SQL
from shared.ledger import change_feed
from shared.ledger.change_feed import AroundLocks
from shared.ledger.shards import KeyRange
from shared.ports import Database, Row

CONSUMER = "segments"
# Limits of one transaction.
CHANGES_MAX = 100_000
EXPANDED_AT_ONCE = 50_000


def fold_contacts(db: Database) -> int:
    """Fold changes of single contacts in the open transaction; return how many rows were read."""
    with change_feed.patience(db):
        around = AroundLocks(db, CONSUMER, CHANGES_MAX)

        def fold(keys: KeyRange) -> int:
            [row] = db.rows(
                SQL["fold_contacts"], consumer=CONSUMER, rows_max=CHANGES_MAX, **keys.bounds()
            )
            return int(row["rows_read"])

        return sum(around.fold(KeyRange(), fold))


def fold_whole(db: Database) -> bool:
    """Fold the next part of a change that concerns many contacts; return whether there was one."""
    with change_feed.patience(db):
        change = change_feed.next_whole_change(db, CONSUMER)
        if change is None:
            return False
        reached = _expand_company(db, change) if change["source"] == "company" else None
        if change["source"] != "company":
            db.execute(
                SQL["renew_criteria"],
                **{key: change[key] for key in ("organization_id", "source", "name")},
            )
        change_feed.keep_progress(db, change["id"], reached)
        return True


def _expand_company(db: Database, change: Row) -> UUID | None:
    """Return the last contact that was reached, or None after the end."""
    own = {key: change[key] for key in ("organization_id", "name", "reached", "at")}
    rows = change_feed.unless_locked(
        db, lambda: db.rows(SQL["fold_company"], **own, rows=EXPANDED_AT_ONCE)
    )
    reached: UUID | None = change["reached"] if rows is None else rows[0]["reached"]
    return reached
