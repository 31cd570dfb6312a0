"""Enter contacts into journeys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from journeys.store.executions import Reference
from journeys.store.statements import SQL
from shared.ports import Database, Row

QUEUED = timedelta(minutes=15)  # a message that takes longer is sent again


@dataclass(frozen=True)
class Entered:
    """What came of contacts and occasions."""

    started: list[Reference]
    refused: int


def knows(db: Database, organization_id: UUID, journey_id: UUID) -> bool:
    """Return whether the organization has the journey."""
    [row] = db.rows(SQL["find_journey"], organization_id=organization_id, journey_id=journey_id)
    return bool(row["found"])


def enter(
    db: Database,
    organization_id: UUID,
    journey_id: UUID,
    contact_ids: Sequence[UUID],
    occasion: str,
    now: datetime,
) -> Entered:
    """Enter contacts on one occasion, which each of them uses once."""
    rows = db.rows(
        SQL["enter"],
        organization_id=organization_id,
        journey_id=journey_id,
        trigger_id=None,
        contact_ids=list(contact_ids),
        occasions=[occasion] * len(contact_ids),
        has_stay=False,
        now=now,
        queued_until=now + QUEUED,
    )
    return entered_of(rows)


def enter_by_scores(db: Database, crossings: Sequence[dict[str, Any]], now: datetime) -> Entered:
    """Enter the contacts of scores that crossed a threshold."""
    rows = db.rows(
        SQL["enter_by_scores"],
        crossings=json.dumps(list(crossings)),
        now=now,
        queued_until=now + QUEUED,
    )
    return entered_of(rows)


def enter_by_events(db: Database, activity_ids: Sequence[UUID], now: datetime) -> Entered:
    """Enter the contacts of events that triggers name."""
    rows = db.rows(
        SQL["enter_by_events"],
        activity_ids=list(activity_ids),
        now=now,
        queued_until=now + QUEUED,
    )
    return entered_of(rows)


def entered_of(rows: Sequence[Row]) -> Entered:
    """Return what came of contacts, from the rows of `journey.enter`."""
    started = [
        Reference(row["organization_id"], row["execution_id"], 0)
        for row in rows
        if row["outcome"] == "entered"
    ]
    return Entered(started, len(rows) - len(started))
