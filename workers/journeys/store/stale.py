"""Cancel executions that nothing will move."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from journeys.store.statements import SQL
from shared.ports import Database


def cancel_stale(db: Database, t: datetime, rows_max: int, now: datetime) -> dict[UUID, int]:
    """Cancel the executions that are stale at `t`; return how many by organization."""
    [row] = db.rows(SQL["cancel_stale"], t=t, rows_max=rows_max, now=now)
    return {UUID(organization_id): count for organization_id, count in row["counts"].items()}


def count_active(db: Database, organization_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Return how many executions of each organization are active; none where it has none."""
    rows = db.rows(SQL["count_active"], organization_ids=sorted(organization_ids))
    return {row["organization_id"]: row["count"] for row in rows}
