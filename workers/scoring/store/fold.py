"""Fold the change feed: fill the backlog and open alerts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from scoring.store.statements import SQL
from shared.ledger import change_feed
from shared.ledger.change_feed import AroundLocks
from shared.ledger.shards import KeyRange
from shared.ports import Database, Row

CONSUMER = "scoring"
# Limit of one run: about 3 s of work, and as much for changes of whole organizations.
CHANGES_MAX = 100_000
EXPANDED_MAX = 500_000
EXPANDED_AT_ONCE = 100_000
# A range of contacts takes several statements, however few contacts it has.
RANGE_COST = 2_000
PASSES_MAX = 10


@dataclass(frozen=True)
class Folded:
    """The numbers of changes and contacts read, and of rows written."""

    rows_read: int = 0
    rows_written: int = 0

    def __add__(self, other: Folded) -> Folded:
        return Folded(self.rows_read + other.rows_read, self.rows_written + other.rows_written)


def fold_changes(db: Database, now: datetime) -> Folded:
    """Fold pending changes, up to the limits, in the open transaction.

    `now` is the time at which alerts are due.
    """
    with change_feed.patience(db):
        return _fold_whole(db) + _fold_contacts(db, now)


def _fold_contacts(db: Database, now: datetime) -> Folded:
    """Fold in passes: each takes an equal share of every organization with changes."""
    total, left = Folded(), CHANGES_MAX
    for _ in range(PASSES_MAX):
        folded = _fold_pass(db, now, left)
        total, left = total + folded, left - folded.rows_read
        if folded.rows_read == 0 or left <= 0:
            break
    return total


def _fold_pass(db: Database, now: datetime, rows_max: int) -> Folded:
    def fold(keys: KeyRange) -> Folded:
        [row] = db.rows(SQL["fold_contacts"], consumer=CONSUMER, rows_max=rows_max, **keys.bounds())
        opened = _open_alerts(db, row["signals"] or [], now)
        return Folded(row["rows_read"], row["rows_written"] + opened)

    around = AroundLocks(db, CONSUMER, rows_max)
    return sum(around.fold(KeyRange(), fold), Folded())


def _open_alerts(db: Database, signals: list[UUID | str], now: datetime) -> int:
    if not signals:
        return 0
    expired = db.execute(SQL["expire_due_alerts"], signals=signals, t=now)
    return expired + db.execute(SQL["open_alerts"], signals=signals, t=now)


def _fold_whole(db: Database) -> Folded:
    """Expand changes of whole organizations in turn, a range of contacts each."""
    total, left = Folded(), EXPANDED_MAX
    while left > 0:
        change = change_feed.next_whole_change(db, CONSUMER)
        if change is None:
            break
        folded = _expand(db, change)
        if folded is None:  # another pass takes it
            change_feed.keep_progress(db, change["id"], change["reached"])
            left -= EXPANDED_AT_ONCE
        else:
            total, left = total + folded, left - max(folded.rows_read, RANGE_COST)
    return total


def _expand(db: Database, change: Row) -> Folded | None:
    """Expand the next range. Return None if another transaction is inserting one of the entries."""
    block = "fold_all_contacts" if change["name"] is None else "fold_signal_contacts"
    parameters = {key: change[key] for key in ("organization_id", "reached", "at")}
    if change["name"] is not None:
        parameters["name"] = change["name"]
    rows = change_feed.unless_locked(
        db, lambda: db.rows(SQL[block], **parameters, rows=EXPANDED_AT_ONCE)
    )
    if rows is None:
        return None
    change_feed.keep_progress(db, change["id"], rows[0]["reached"])
    return Folded(rows[0]["rows_read"], rows[0]["rows_read"])
