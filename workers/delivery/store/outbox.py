"""The statements of the platform's events."""

from __future__ import annotations

from delivery.store.statements import SQL
from shared.ports import Database, Row


def has_events(db: Database) -> bool:
    """Return whether there are events to publish."""
    [row] = db.rows(SQL["has_events"])
    return bool(row["found"])


def take_events(db: Database, rows_max: int) -> list[Row]:
    """Delete and return the oldest events that no other transaction is publishing."""
    return db.rows(SQL["take_events"], rows_max=rows_max)


def count_events(db: Database, rows_max: int) -> tuple[int, list[Row]]:
    """Delete them too. Return their total number, and the numbers per organization and kind."""
    [row] = db.rows(SQL["count_events"], rows_max=rows_max)
    return row["taken"], row["events"]
