"""The events that the platform has not received yet."""

from __future__ import annotations

from typing import Any

from journeys.store.statements import SQL
from shared.ports import Database, Row


def has_events(db: Database) -> bool:
    """Return whether there are events."""
    [row] = db.rows(SQL["has_events"])
    return bool(row["found"])


def take_events(db: Database, rows_max: int) -> list[Row]:
    """Take the oldest events, within a transaction."""
    return db.rows(SQL["take_events"], rows_max=rows_max)


def count_events(db: Database, rows_max: int) -> tuple[int, list[dict[str, Any]]]:
    """Take the oldest events; return their number, and their counts by organization and type."""
    [row] = db.rows(SQL["count_events"], rows_max=rows_max)
    return row["taken"], row["events"]
