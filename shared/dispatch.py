"""A tick: which windows are due and missing, and a message for each. A fixed number of statements.

Every tick looks at all jobs of its worker, so whatever one tick missed the next one of any job
makes good. The ledger decides: of two ticks at once, one enqueues a window.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared import alerts, failures
from shared.discreet import said, told
from shared.errors import DatabaseError, DatabaseUnreachable, error_class
from shared.jobs import Job, Worker
from shared.ledger import LEASE
from shared.messages import Trigger
from shared.ports import Ports, Row
from shared.settings import Gate
from shared.statements import SQL
from shared.windows import CATCH_UP_WINDOWS_MAX, Schedule, Window


@dataclass(frozen=True)
class Due:
    """A window that should be run, and why."""

    job: Job
    schedule: Schedule
    window: Window
    trigger: Trigger

    @property
    def planned(self) -> datetime:
        return self.schedule.planned_for(self.window)

    def body(self) -> dict[str, Any]:
        """The message. Its correlation id is the same for every try at the window."""
        message = self.job.message.model_validate({
            "type": self.job.type,
            "scheduledFor": self.planned,
            "trigger": self.trigger,
            "correlationId": f"{self.job.type}@{self.window}",
        })  # fmt: skip
        return message.body()


async def dispatch(worker: Worker, cron: str, tick: datetime, ports: Ports) -> int:
    """Enqueue what is due at `tick`, the planned time of `cron`. Gives the number of messages."""
    try:
        if not _gate_is_open(worker, cron, ports):
            return 0
        try:
            due, late = _claim(worker, tick, ports)
        except (DatabaseError, DatabaseUnreachable) as error:
            ports.log(
                "dispatch.blind",
                level="error",
                cron=cron,
                error_class=error_class(error),
                error=told(error),
            )
            return await _enqueue(_own_windows(worker, cron, tick), worker, cron, tick, ports)
        try:
            count = await _enqueue(due, worker, cron, tick, ports)
        finally:  # they are marked as reported: no later tick would do it
            await _report_overdue(late, tick, ports)
        failures.forget(ports)
        return count
    finally:
        ports.db.close()


async def _enqueue(due: list[Due], worker: Worker, cron: str, tick: datetime, ports: Ports) -> int:
    await ports.queue.send([one.body() for one in due])
    ports.log(
        "dispatch.sent",
        worker=worker.name,
        cron=cron,
        scheduled_for=tick.isoformat(),
        count=len(due),
    )
    return len(due)


def _gate_is_open(worker: Worker, cron: str, ports: Ports) -> bool:
    gate = ports.settings.gate(worker.gate)
    if gate is Gate.HELD:
        ports.log("dispatch.held", gate=worker.gate, cron=cron)
    if gate is Gate.WRONG:
        ports.log(
            "dispatch.gate_wrong",
            level="error",
            gate=worker.gate,
            error="it must be true, false or absent",
        )
    return gate is Gate.OPEN


def _own_windows(worker: Worker, cron: str, tick: datetime) -> list[Due]:
    """Without a ledger nobody knows what is missing, but this tick's own windows surely are due."""
    jobs = [
        (job, job.schedule) for job in worker.jobs if job.schedule and job.schedule.cron == cron
    ]
    return [Due(job, schedule, schedule.window_of(tick), "cron") for job, schedule in jobs]


def _claim(worker: Worker, tick: datetime, ports: Ports) -> tuple[list[Due], list[Row]]:
    """Claim the due windows in the ledger, and mark those newly overdue: all of it or nothing."""
    jobs = {job.type: (job, job.schedule) for job in worker.jobs if job.schedule}
    now = max(tick, ports.clock())  # a tick may come late: a lease lasts from when it is given
    with ports.db.transaction():
        schedules = ports.db.rows(
            SQL["open_schedules"],
            job_types=list(jobs),
            beginnings=[schedule.beginning(tick) for _, schedule in jobs.values()],
            now=tick,
        )
        running = [row for row in schedules if not row["paused"]]
        candidates = [
            due for row in running for due in _candidates(*jobs[row["job_type"]], row, tick)
        ]
        claimed = ports.db.rows(
            SQL["claim_windows"],
            **_columns(candidates),
            running=[row["job_type"] for row in running],
            now=now,
            lease_until=now + LEASE,
            most=CATCH_UP_WINDOWS_MAX,
        )
        _record_skipped(running, jobs, candidates, tick, ports)
        late = ports.db.rows(
            SQL["mark_overdue"], **_columns(_past_grace(candidates, tick)), now=tick
        )
    order = {(due.job.type, due.window): place for place, due in enumerate(candidates)}
    due = [Due(*jobs[row["job_type"]], _window(row), row["trigger"]) for row in claimed]
    return sorted(due, key=lambda one: order.get((one.job.type, one.window), len(order))), late


def _candidates(job: Job, schedule: Schedule, row: Row, tick: datetime) -> list[Due]:
    """The windows within the bounds of catching up, oldest first. The newest is the tick's own
    if its planned time is this tick."""
    windows = [window for window in schedule.catch_up(tick) if window.start >= row["starts_at"]]
    fresh = schedule.is_planned(tick)
    newest = schedule.newest_due(tick)
    return [Due(job, schedule, w, "cron" if fresh and w == newest else "catch-up") for w in windows]


def _record_skipped(
    running: list[Row],
    jobs: dict[str, tuple[Job, Schedule]],
    candidates: list[Due],
    tick: datetime,
    ports: Ports,
) -> None:
    """Windows too many or too old to catch up get a row that says so, and are reported."""
    within = {(due.job.type, due.window) for due in candidates}
    skipped = []
    for row in running:
        job, schedule = jobs[row["job_type"]]
        unrecorded = schedule.due_since(row["recorded_until"], tick)
        skipped += [
            Due(job, schedule, w, "catch-up") for w in unrecorded if (job.type, w) not in within
        ]
    recorded: list[Row] = []
    if skipped:
        recorded = ports.db.rows(SQL["record_skipped"], **_columns(skipped), now=tick)
    types = [row["job_type"] for row in running]
    schedules = [jobs[job_type][1] for job_type in types]
    bounds = [schedule.catch_up_start(tick) for schedule in schedules]
    abandoned = ports.db.rows(SQL["abandon_windows"], job_types=types, bounds=bounds, now=tick)
    _report_skipped(recorded + abandoned, ports)
    ports.db.execute(
        SQL["advance_watermarks"],
        job_types=types,
        recorded=[schedule.newest_due(tick).end for schedule in schedules],
    )


def _report_skipped(skipped: list[Row], ports: Ports) -> None:
    for job_type in sorted({row["job_type"] for row in skipped}):
        windows = [_window(row) for row in skipped if row["job_type"] == job_type]
        span = f"{min(windows).start.isoformat()} to {max(windows).end.isoformat()}"
        ports.log("dispatch.skipped", level="error", type=job_type, count=len(windows), window=span)


def _past_grace(candidates: Iterable[Due], tick: datetime) -> list[Due]:
    return [due for due in candidates if due.planned + due.schedule.grace <= tick]


async def _report_overdue(late: list[Row], tick: datetime, ports: Ports) -> None:
    for row in late:
        await alerts.send(
            "job.overdue",
            ports,
            type=row["job_type"],
            window=str(_window(row)),
            status=row["status"],
            overdue_s=round((tick - row["scheduled_for"]).total_seconds()),
            error_class=row["error_class"],
            error=said(row["error_class"] or "", row["error_text"] or ""),
        )


def _window(row: Row) -> Window:
    return Window(row["window_start"], row["window_end"])


def _columns(due: Iterable[Due]) -> dict[str, list[Any]]:
    """The windows as the arrays that the statements unnest."""
    rows = list(due)
    return {
        "job_types": [one.job.type for one in rows],
        "starts": [one.window.start for one in rows],
        "ends": [one.window.end for one in rows],
        "planned": [one.planned for one in rows],
        "triggers": [one.trigger for one in rows],
    }
