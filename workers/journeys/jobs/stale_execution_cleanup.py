"""Every night: cancel the executions that nothing will move."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Literal
from uuid import UUID

from journeys.store import stale
from shared import Done, Ports, Run, Schedule, WindowJob, WindowMessage, day_before
from shared.telemetry import journey_metrics, notify

ROWS_MAX = 50_000
ALERT_SHARE = 0.01
POINTS_MAX = 200  # an invocation writes at most 250


class StaleExecutionCleanup(WindowMessage):
    type: Literal["journey.stale-execution-cleanup"] = "journey.stale-execution-cleanup"


async def clean_up(run: Run) -> Done:
    """Cancel the executions that have not moved for seven days, and that nothing will move.

    SQL: `stale.sql` (`cancel_stale`). Each portion commits for itself; a second run finds none.
    """
    ports, counts = run.ports, Counter[UUID]()
    while True:
        found = stale.cancel_stale(ports.db, run.window.end, ROWS_MAX, ports.clock())
        counts.update(found)
        if sum(found.values()) < ROWS_MAX:
            break
    await _report(counts, ports)
    return Done(counts.total(), counts.total())


async def _report(counts: Counter[UUID], ports: Ports) -> None:
    """Log how many there were; many of an organization mean that this system has a fault."""
    if not counts:
        return
    active = stale.count_active(ports.db, counts)
    for place, (organization_id, count) in enumerate(counts.most_common()):
        own = str(organization_id)
        ports.log("journey.stale_canceled", level="warning", organization_id=own, count=count)
        if place < POINTS_MAX:
            journey_metrics.write_stale(own, count, ports)
        if count > ALERT_SHARE * (count + active.get(organization_id, 0)):
            await notify.send("journey.many_stale", ports, organization_id=own, count=count)


JOB = WindowJob(
    message=StaleExecutionCleanup,
    handler=clean_up,
    schedule=Schedule("0 3 * * *", day_before, grace=timedelta(hours=2)),
    aliases=("journey:stale-execution-cleanup",),
    transaction=False,
)
