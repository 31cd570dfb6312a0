"""Advance executions: visit steps, and commit all that they do together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil
from uuid import UUID

from journeys.domain.decisions import StepFailed
from journeys.domain.graph import Graph
from journeys.domain.messages import Advance
from journeys.domain.progress import Progress, advance
from journeys.sending import delay_s, queued_until, send
from journeys.store import conditions, executions
from journeys.store.executions import Locked, Reference
from journeys.store.waking import Due
from shared import BatchJob, Database, Dead, DeadLetter, Done, Ports, RetryIn
from shared.error_text import error_text
from shared.errors import error_class, is_retryable

EARLY_MAX = timedelta(seconds=60)
NO_STEPS = Graph({}, {})

Answer = Done | RetryIn | Dead


async def advance_executions(messages: Sequence[Advance], ports: Ports) -> list[Answer]:
    """Advance executions: a step that cannot be carried out ends only its own execution.

    SQL: `advance.sql` (`lock_executions`, `read_executions`, `read_versions`, `write_progress`);
    conditions are compiled from `criteria/operators.sql`.
    """
    references = [_reference(own) for own in messages]
    try:
        answers = await _advance(references, ports)
    except Exception as error:
        if is_retryable(error):
            raise
        if len(messages) > 1:  # a value of one execution that Postgres refuses
            return [answer for own in messages for answer in await advance_executions([own], ports)]
        return [Dead("step_failed", error_class(error), error_text(error))]
    return [answers.get(own, Done(organization_id=str(own.organization_id))) for own in references]


async def _advance(references: Sequence[Reference], ports: Ports) -> dict[Reference, Answer]:
    """Return the answers of the messages that are not simply done."""
    now = ports.clock()
    with ports.db.transaction():
        locked = executions.lock(ports.db, references)
        due = [own for own in locked.values() if own.wake_at is not None and own.wake_at <= now]
        moved, failed = _decide(ports.db, due, now)
        if moved:
            executions.write(ports.db, [(own, _queued_until(own, now)) for own in moved], now)
    await send(_continuations(moved, now), ports)
    return {
        own: answer
        for own in references
        if own.id in locked and (answer := _answer(locked[own.id], failed, now)) is not None
    }


def _decide(
    db: Database, due: Sequence[Locked], now: datetime
) -> tuple[list[Progress], dict[UUID, StepFailed]]:
    """Return how far executions come, and why some come no further."""
    if not due:
        return [], {}
    found = executions.read(db, [own.id for own in due], now)
    graphs = executions.versions(db, [version for version, _ in found if version is not None])
    moved: list[Progress] = []
    failed: dict[UUID, StepFailed] = {}
    standing = [
        (execution, graphs.get(version_id, NO_STEPS) if version_id else NO_STEPS)
        for version_id, execution in found
    ]
    for execution, graph in conditions.judge(db, standing, now):
        try:
            moved.append(advance(execution, graph, now))
        except StepFailed as error:
            failed[execution.id] = error
    return moved, failed


def _queued_until(own: Progress, now: datetime) -> datetime | None:
    return queued_until(own.wake_at, now)


def _continuations(moved: Sequence[Progress], now: datetime) -> list[Due]:
    found = []
    for own in moved:
        later_s = delay_s(own.wake_at, now)
        if later_s is not None:
            execution = own.execution
            reference = Reference(execution.organization_id, execution.id, own.seq)
            found.append(Due(reference, later_s))
    return found


def _answer(own: Locked, failed: dict[UUID, StepFailed], now: datetime) -> Answer | None:
    if own.id in failed:
        return Dead("step_failed", "StepFailed", str(failed[own.id]))
    if own.wake_at is not None and now < own.wake_at <= now + EARLY_MAX:
        wait_s = ceil((own.wake_at - now).total_seconds())
        return RetryIn(wait_s, "TooEarly", "the execution is due later")
    return None


def _reference(message: Advance) -> Reference:
    data = message.data
    return Reference(data.organization_id, data.execution_id, data.seq)


def fail(letters: Sequence[DeadLetter[Advance]], db: Database) -> None:
    """End the executions whose step cannot be carried out."""
    found = [
        (_reference(own.message), own.error, own.id)
        for own in letters
        if own.message is not None and own.reason == "step_failed"
    ]
    if found:
        executions.fail(db, found)


def reopen(messages: Sequence[Advance], db: Database, now: datetime) -> None:
    """Open the executions whose dead letters an operator sends again."""
    executions.reopen(db, [_reference(own) for own in messages], now)


JOB = BatchJob(
    message=Advance,
    handler=advance_executions,
    transaction=False,
    on_dead=fail,
    on_redrive=reopen,
)
