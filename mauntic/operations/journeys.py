"""Journeys and their executions: list and show them, publish, pause, resume, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mauntic.errors import OperatorError
from mauntic.operations.required import require_names, require_row
from mauntic.operations.statements import SQL
from shared.ports import Database, Row

STATUSES = ("draft", "active", "paused", "archived")
EXECUTION_STATUSES = ("active", "completed", "failed", "canceled")


@dataclass(frozen=True)
class JourneyDetails:
    """What belongs to a journey."""

    versions: list[Row]
    steps: list[Row]
    triggers: list[Row]
    entries: list[Row]


@dataclass(frozen=True)
class ExecutionDetails:
    """What belongs to an execution."""

    visits: list[Row]
    waits: list[Row]
    logs: list[Row]


@dataclass(frozen=True)
class ExecutionFilter:
    """Which executions to list; without a status those that are active or failed."""

    statuses: Sequence[str] = ()
    organization: UUID | None = None
    journey: UUID | None = None
    contact: UUID | None = None
    is_stale: bool = False

    @property
    def chosen(self) -> list[str] | None:
        if self.statuses:
            return list(self.statuses)
        return None if self.contact or self.is_stale else ["active", "failed"]


def list_journeys(
    db: Database, statuses: Sequence[str], organization: UUID | None, limit: int
) -> list[Row]:
    """Return journeys with the number of their executions by status."""
    require_names(statuses, STATUSES, "status")
    return db.rows(
        SQL["journeys"],
        statuses=list(statuses) or None,
        organization_id=organization,
        limit=limit,
    )


def find_journey(db: Database, journey_id: UUID) -> Row:
    """Return a journey; OperatorError if there is none."""
    return require_row(
        db.rows(SQL["journey"], id=journey_id), "journey", journey_id, "journeys list"
    )


def details_of(db: Database, journey_id: UUID, now: datetime) -> JourneyDetails:
    """Return the versions, steps and triggers of a journey, and its entries of seven days."""
    return JourneyDetails(
        db.rows(SQL["journey_versions"], id=journey_id),
        db.rows(SQL["journey_steps"], id=journey_id),
        db.rows(SQL["journey_triggers"], id=journey_id),
        db.rows(SQL["journey_entries"], id=journey_id, now=now),
    )


def version_to_publish(db: Database, journey_id: UUID, number: int | None) -> Row:
    """Return a version that can be published: the newest, or the one with this number."""
    versions = db.rows(SQL["journey_versions"], id=journey_id)
    found = next((own for own in versions if number in (None, own["version"])), None)
    if found is None:
        raise OperatorError(f"The journey has no version{'' if number is None else f' {number}'}.")
    if found["published_at"] is not None:
        raise OperatorError(
            f"Version {found['version']} is published already. A published version does not change:"
            " to change steps, create a new version."
        )
    if found["problem"]:
        raise OperatorError(
            f"Version {found['version']} cannot be published: {found['problem']}."
            " docs/journeys.md has what a version needs."
        )
    return found


def publish(db: Database, journey_id: UUID, version: Row, now: datetime) -> None:
    """Publish a version: contacts enter it from now on."""
    rows = db.rows(SQL["publish_version"], id=journey_id, version=version["version"], now=now)
    if not rows:
        raise OperatorError(f"Version {version['version']} was published in the meantime.")


def set_status(db: Database, journey: Row, status: str, sources: Sequence[str]) -> None:
    """Set the status of a journey; OperatorError if it is not in one of `sources`."""
    rows = db.rows(
        SQL["set_journey_status"], id=journey["id"], status=status, sources=list(sources)
    )
    if not rows:
        raise OperatorError(
            f"The journey {journey['id']} is {journey['status']}, not {' or '.join(sources)}."
        )


def list_executions(db: Database, filters: ExecutionFilter, limit: int) -> list[Row]:
    """Return executions, those that moved last first."""
    require_names(filters.statuses, EXECUTION_STATUSES, "status")
    return db.rows(
        SQL["executions"],
        statuses=filters.chosen,
        organization_id=filters.organization,
        journey_id=filters.journey,
        contact_id=filters.contact,
        is_stale=filters.is_stale,
        limit=limit,
    )


def find_execution(db: Database, execution_id: UUID) -> Row:
    """Return an execution; OperatorError if there is none."""
    return require_row(
        db.rows(SQL["execution"], id=execution_id), "execution", execution_id, "executions list"
    )


def history_of(db: Database, execution_id: UUID) -> ExecutionDetails:
    """Return every visit, wait and log row of an execution."""
    return ExecutionDetails(
        db.rows(SQL["execution_visits"], id=execution_id),
        db.rows(SQL["execution_waits"], id=execution_id),
        db.rows(SQL["execution_logs"], id=execution_id),
    )


def require_active(execution: Row) -> None:
    """Raise OperatorError unless the execution is active."""
    if execution["status"] != "active":
        raise OperatorError(
            f"The execution {execution['id']} is {execution['status']}: only active ones are"
            " canceled."
        )


def cancel(
    db: Database, ids: Sequence[UUID], by: str, note: str | None, now: datetime
) -> list[UUID]:
    """Cancel active executions; return which. Those that have ended by now are left out."""
    rows = db.rows(SQL["cancel_execution"], ids=list(ids), by=by, note=note, now=now)
    return [row["id"] for row in rows]
