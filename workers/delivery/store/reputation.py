"""What protects the reputation of a sender: addresses that bounce, and rates that are too high."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from delivery.store.statements import SQL
from shared.ports import Database

# The sweep may be late by as much; a later bounce of the same address asks again.
LOOK_BACK = timedelta(days=1)
COMPLAINT_RATE = Decimal("0.003")
DELIVERED_MIN = 1_000
BOUNCE_RATE = Decimal("0.05")
OUTCOMES_MIN = 500  # delivered or bounced: 25 bounces are no accident


@dataclass(frozen=True)
class Paused:
    """An organization whose marketing was paused. `reason` is complaint_rate or bounce_rate, and
    `count` the number of complaints or hard bounces.
    """

    organization_id: UUID
    reason: str
    count: int


def suppress_soft_bounced(db: Database, rows_max: int, now: datetime) -> int:
    """Suppress addresses that bounce softly again and again, for thirty days; return how many."""
    [row] = db.rows(SQL["suppress_soft_bounced"], since=now - LOOK_BACK, rows_max=rows_max, now=now)
    return int(row["suppressed"])


def pause_marketing(db: Database, now: datetime) -> list[Paused]:
    """Pause the marketing of organizations with too many complaints or bounces in a day."""
    rows = db.rows(
        SQL["pause_marketing"],
        complaint_rate=COMPLAINT_RATE,
        delivered_min=DELIVERED_MIN,
        bounce_rate=BOUNCE_RATE,
        outcomes_min=OUTCOMES_MIN,
        now=now,
    )
    return [Paused(**row) for row in rows]
