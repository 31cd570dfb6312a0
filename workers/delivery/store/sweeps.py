"""The statements of the sweep, each for a bounded number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time
from uuid import UUID

from delivery.store.statements import SQL
from shared.ports import Database
from shared.telemetry.delivery_metrics import Gauge

ROWS_MAX = 10_000
# In this order: what a cancel ends is not opened again, and what has expired is not sent.
SWEEPS = (
    "sweep_canceled",
    "sweep_resumed",
    "sweep_lapsed",
    "sweep_sending",
    "sweep_uncertain",
    "sweep_expired",
    "sweep_queued",
    "empty_deleted",
    "empty_content",
    "empty_requests",
)


def sweep(db: Database, name: str, now: datetime) -> int:
    """Run a statement until it finds less than a full chunk. Return how many rows changed."""
    total = 0
    while True:
        touched = db.execute(SQL[name], now=now, rows_max=ROWS_MAX)
        total += touched
        if touched < ROWS_MAX:
            return total


def gauges(db: Database, now: datetime) -> list[Gauge]:
    """Return the open messages by channel and state, also where there are none, and the addresses
    that were suppressed today (UTC)."""
    today = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    return [Gauge(**row) for row in db.rows(SQL["gauges"], today=today, now=now)]


def hold_dead(db: Database, ids: Sequence[UUID]) -> int:
    """Hold messages whose reference died by an error of ours."""
    return db.execute(SQL["hold_dead"], ids=list(ids))


def resend_held(db: Database, ids: Sequence[UUID], now: datetime) -> list[UUID]:
    """Open held messages again: an operator's decision."""
    return [row["id"] for row in db.rows(SQL["resend_held"], ids=list(ids), now=now)]


def resolve_uncertain(db: Database, ids: Sequence[UUID], state: str, now: datetime) -> list[UUID]:
    """Settle uncertain messages as `sent` or `failed`, or send them once more as `pending`."""
    rows = db.rows(SQL["resolve_uncertain"], ids=list(ids), state=state, now=now)
    return [row["id"] for row in rows]
