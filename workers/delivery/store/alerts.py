"""The problems of configurations that are due for an alert."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from delivery.store.statements import SQL
from shared.ports import Database


@dataclass(frozen=True)
class Problem:
    """What keeps messages from being sent until a person corrects it.

    `problem` is paused, no_provider, unverified_sender or not_configured. `config_id` and
    `provider` are those of a paused config, and `reason` is the reason of its pause. Without an
    organization a setting of the worker is missing. `waiting` is the number of messages.
    """

    problem: str
    channel: str
    organization_id: UUID | None
    config_id: UUID | None
    provider: str | None
    reason: str | None
    waiting: int


def claim_alerts(db: Database, most: int, now: datetime) -> list[Problem]:
    """Return the problems without an alert for an hour; the caller reports them."""
    return [Problem(**row) for row in db.rows(SQL["claim_alerts"], most=most, now=now)]
