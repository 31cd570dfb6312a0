"""What `journey.wake-due` does, each step for a bounded number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from journeys.store.executions import Reference
from journeys.store.statements import SQL
from shared.ports import Database

AHEAD = timedelta(minutes=5)
PATIENCE = timedelta(minutes=15)  # a message that takes longer is sent again


@dataclass(frozen=True)
class Due:
    """An execution that is due in `delay_s` seconds."""

    reference: Reference
    delay_s: int


def fold_events(db: Database, rows_max: int, now: datetime) -> int:
    """Take changes from the feed; return how many."""
    [row] = db.rows(SQL["fold_events"], rows_max=rows_max, now=now)
    return int(row["count"])


def take_events(db: Database, rows_max: int) -> list[UUID]:
    """Lock the events that are applied next."""
    return [row["activity_id"] for row in db.rows(SQL["take_pending"], rows_max=rows_max)]


def wake_waiting(db: Database, activity_ids: Sequence[UUID], now: datetime) -> int:
    """Wake the executions whose gate waits for one of these events."""
    return db.execute(SQL["wake_waiting"], activity_ids=list(activity_ids), now=now)


def drop_events(db: Database, activity_ids: Sequence[UUID]) -> int:
    """Delete events that are applied."""
    return db.execute(SQL["drop_events"], activity_ids=list(activity_ids))


def cancel_executions(db: Database, rows_max: int, now: datetime) -> int:
    """End executions of archived and deleted journeys; return how many."""
    return db.execute(SQL["cancel_executions"], rows_max=rows_max, now=now)


def choose_due(db: Database, rows_max: int, now: datetime) -> list[Due]:
    """Mark the executions that are due next; the caller sends their messages after its commit."""
    [row] = db.rows(SQL["choose_due"], rows_max=rows_max, now=now, ahead=AHEAD, patience=PATIENCE)
    return [
        Due(Reference(UUID(organization_id), UUID(execution_id), seq), int(delay_s))
        for organization_id, execution_id, seq, delay_s in row["due"]
    ]
