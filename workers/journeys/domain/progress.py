"""Advance an execution: visit steps until one waits, the end, or enough visits. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from journeys.domain.decisions import (
    Decision,
    End,
    GoOn,
    StepFailed,
    Visit,
    Wait,
    enter,
    resume,
)
from journeys.domain.execution import Execution
from journeys.domain.graph import Graph, Step

VISITS_AT_ONCE = 25
VISITS_MAX = 1_000

Status = Literal["active", "completed", "failed", "canceled"]


@dataclass(frozen=True)
class Visited:
    """A visit and what the step decided."""

    step: Step
    seq: int
    decision: Decision


@dataclass
class Progress:
    """How far an execution comes. `closed` is the decision of the visit in which it waited."""

    execution: Execution
    seq: int
    step_id: UUID | None
    wake_at: datetime | None = None
    status: Status = "active"
    reason: str | None = None
    closed: GoOn | None = None
    visits: list[Visited] = field(default_factory=list)

    def wait(self, step: Step, until: datetime | None) -> None:
        self.step_id, self.wake_at = step.id, until

    def end(self, status: Status, reason: str) -> None:
        self.status, self.reason, self.wake_at = status, reason, None


def advance(execution: Execution, graph: Graph, now: datetime) -> Progress:
    """Return how far an execution comes at `now`.

    Raises StepFailed if the first visit cannot be carried out. If a later one cannot, the execution
    stops before it, so that what was done so far counts: the next message fails.
    """
    progress = Progress(execution, execution.seq, execution.step_id)
    if not execution.has_contact:
        progress.end("canceled", "contact_deleted")
        return progress
    step = _step(graph, execution.step_id)
    if execution.waiting is not None:
        decision = resume(step, execution.waiting, now)
        if isinstance(decision, Wait):
            progress.wait(step, decision.until)
            return progress
        progress.closed = decision
        _leave(progress, graph, step, decision)
    _visit_steps(progress, graph, now)
    return progress


def _visit_steps(progress: Progress, graph: Graph, now: datetime) -> None:
    """Visit steps until the execution ends, waits, or has done enough for one message."""
    while progress.status == "active":
        if progress.seq >= VISITS_MAX:
            progress.end("failed", "too_many_steps")
            return
        progress.wake_at = now
        if len(progress.visits) >= VISITS_AT_ONCE:
            return
        try:
            step = _step(graph, progress.step_id)
            decision = enter(Visit(step, progress.execution, progress.seq + 1, now))
        except StepFailed:
            if progress.closed is None and not progress.visits:
                raise
            return
        progress.seq += 1
        progress.visits.append(Visited(step, progress.seq, decision))
        if isinstance(decision, Wait):
            progress.wait(step, decision.until)
            return
        if isinstance(decision, End):
            progress.end("completed", decision.reason)
        else:
            _leave(progress, graph, step, decision)


def _leave(progress: Progress, graph: Graph, step: Step, decision: GoOn) -> None:
    target = graph.after(step, decision.label)
    if target is None:
        progress.end("completed", "no_branch" if decision.label else "end")
    else:
        progress.step_id = target


def _step(graph: Graph, step_id: UUID | None) -> Step:
    if step_id is None or step_id not in graph.steps:
        raise StepFailed("the version does not have the step")
    return graph.steps[step_id]
