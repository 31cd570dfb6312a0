"""Lock executions, read what their decisions depend on, and write how far they came."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from journeys.domain.decisions import Gate, GoOn, Wait
from journeys.domain.execution import Execution, Waiting
from journeys.domain.graph import Graph, Step
from journeys.domain.progress import Progress, Visited
from journeys.store.statements import SQL
from shared.ports import Database, Row

LOGGED = {
    "contact_deleted": ("info", "the contact was deleted"),
    "too_many_steps": ("error", "the execution has visited 1,000 steps"),
}


@dataclass(frozen=True)
class Reference:
    """An execution at a visit, as a queue message names it."""

    organization_id: UUID
    id: UUID
    seq: int


@dataclass(frozen=True)
class Locked:
    """An execution that this transaction has locked."""

    id: UUID
    version_id: UUID | None
    wake_at: datetime | None


def lock(db: Database, references: Sequence[Reference]) -> dict[UUID, Locked]:
    """Lock active executions that stand at the visit named; those that others have locked are left
    out.
    """
    rows = db.rows(
        SQL["lock_executions"],
        organization_ids=[own.organization_id for own in references],
        ids=[own.id for own in references],
        seqs=[own.seq for own in references],
    )
    return {row["id"]: Locked(row["id"], row["journey_version_id"], row["wake_at"]) for row in rows}


def read(db: Database, ids: Sequence[UUID], now: datetime) -> list[tuple[UUID | None, Execution]]:
    """Return executions of active journeys, each with its version."""
    rows = db.rows(SQL["read_executions"], ids=list(ids), now=now)
    return [(row["version_id"], _execution(row)) for row in rows]


def _execution(row: Row) -> Execution:
    waiting = None
    if row["waiting_since"] is not None:
        waiting = Waiting(row["waiting_since"], row["waiting_until"], row["has_happened"])
    times: Mapping[str, str | None] = row["local_times"] or {}
    return Execution(
        id=row["id"],
        organization_id=row["organization_id"],
        journey_id=row["journey_id"],
        contact_id=row["contact_id"],
        seq=row["seq"],
        step_id=row["current_step_id"],
        started_at=row["started_at"],
        has_contact=row["has_contact"],
        waiting=waiting,
        local_times={
            UUID(step): datetime.fromisoformat(time) for step, time in times.items() if time
        },
    )


def versions(db: Database, ids: Iterable[UUID]) -> dict[UUID, Graph]:
    """Return the graphs of versions."""
    steps: dict[UUID, dict[UUID, Step]] = {}
    connections: dict[UUID, dict[tuple[UUID, str], UUID]] = {}
    for row in db.rows(SQL["read_versions"], version_ids=sorted(set(ids))):
        version, step_id = row["version_id"], row["id"]
        config = row["config"] if isinstance(row["config"], dict) else {}
        steps.setdefault(version, {})[step_id] = Step(step_id, row["type"], row["kind"], config)
        for label, target in row["connections"].items():
            connections.setdefault(version, {})[step_id, label] = UUID(target)
    return {version: Graph(own, connections.get(version, {})) for version, own in steps.items()}


def write(db: Database, moved: Sequence[tuple[Progress, datetime | None]], now: datetime) -> None:
    """Write how far executions came, each with the time until which its next message is queued."""
    visits = [(own.execution, visited) for own, _ in moved for visited in own.visits]
    db.execute(
        SQL["write_progress"],
        now=now,
        moves=_json(_move(own, until) for own, until in moved),
        visits=_json(_visit(execution, visited) for execution, visited in visits),
        waits=_json(
            _wait(execution, visited.seq, visited.decision.gate)
            for execution, visited in visits
            if isinstance(visited.decision, Wait) and visited.decision.gate
        ),
        messages=_json(
            _message(execution, visited, visited.decision)
            for execution, visited in visits
            if isinstance(visited.decision, GoOn) and visited.decision.message
        ),
        requests=_json(
            _request(execution, visited, visited.decision.action)
            for execution, visited in visits
            if isinstance(visited.decision, GoOn) and visited.decision.action
        ),
        logs=_json(_log(own) for own, _ in moved if own.reason in LOGGED),
    )


def _json(rows: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(rows), default=_plain)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _move(own: Progress, queued_until: datetime | None) -> dict[str, Any]:
    return {
        "id": own.execution.id,
        "seq": own.seq,
        "was_seq": own.execution.seq,
        "step_id": own.step_id,
        "wake_at": own.wake_at,
        "wake_queued_until": queued_until,
        "status": own.status,
        "reason": own.reason,
        "is_closed": own.closed is not None or own.status == "canceled",
        "result": {"label": own.closed.label} if own.closed and own.closed.label else None,
    }


def _visit(execution: Execution, visited: Visited) -> dict[str, Any]:
    decision = visited.decision
    result: dict[str, Any] = {}
    if isinstance(decision, Wait):
        until = decision.gate.until if decision.gate else decision.until
        result = {"until": until}
    elif isinstance(decision, GoOn):
        message = decision.message
        result = {
            "label": decision.label,
            "action": decision.action,
            "message": message and _key(execution, visited),
        }
    return {
        "execution_id": execution.id,
        "step_id": visited.step.id,
        "organization_id": execution.organization_id,
        "status": "running" if isinstance(decision, Wait) else "completed",
        "result": {name: value for name, value in result.items() if value is not None} or None,
        "seq": visited.seq,
    }


def _wait(execution: Execution, seq: int, gate: Gate) -> dict[str, Any]:
    return {
        "execution_id": execution.id,
        "seq": seq,
        "organization_id": execution.organization_id,
        "contact_id": execution.contact_id,
        "event_type": gate.event_type,
        "scope": gate.scope,
        "since": gate.since,
        "until": gate.until,
    }


def _key(execution: Execution, visited: Visited) -> str:
    return f"journey:{execution.id}:{visited.step.id}:{visited.seq}"


def _message(execution: Execution, visited: Visited, decision: GoOn) -> dict[str, Any]:
    message = decision.message
    assert message is not None
    return {
        "organization_id": execution.organization_id,
        "idempotency_key": _key(execution, visited),
        "channel": message.channel,
        "class": message.message_class,
        "contact_id": execution.contact_id,
        "journey_id": execution.journey_id,
        "journey_execution_id": execution.id,
        "step_id": visited.step.id,
        "template_id": message.template_id,
        "content": message.content,
    }


def _request(execution: Execution, visited: Visited, action: str) -> dict[str, Any]:
    return {
        "organization_id": execution.organization_id,
        "contact_id": execution.contact_id,
        "body": {
            "organizationId": execution.organization_id,
            "journeyId": execution.journey_id,
            "executionId": execution.id,
            "contactId": execution.contact_id,
            "stepId": visited.step.id,
            "action": action,
            "config": visited.step.config,
        },
    }


def _log(own: Progress) -> dict[str, Any]:
    assert own.reason is not None
    level, text = LOGGED[own.reason]
    return {
        "execution_id": own.execution.id,
        "organization_id": own.execution.organization_id,
        "level": level,
        "code": own.reason,
        "message": text,
        "metadata": {"stepId": own.step_id, "visits": own.seq},
    }


def fail(db: Database, letters: Sequence[tuple[Reference, str | None, int]]) -> None:
    """End executions whose step cannot be carried out, if they still stand there."""
    db.execute(
        SQL["fail_executions"],
        ids=[own.id for own, _, _ in letters],
        seqs=[own.seq for own, _, _ in letters],
        errors=[error for _, error, _ in letters],
        dead_letter_ids=[number for _, _, number in letters],
    )


def reopen(db: Database, references: Sequence[Reference], now: datetime) -> None:
    """Open executions that a dead letter has failed, unless their contact has entered again."""
    db.execute(
        SQL["reopen_executions"],
        ids=[own.id for own in references],
        seqs=[own.seq for own in references],
        now=now,
    )
