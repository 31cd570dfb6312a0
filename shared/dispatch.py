"""A tick: which windows are due and missing, and a message for each. A fixed number of statements.

Every tick looks at all jobs of its worker, so whatever one tick missed the next one of any job
makes good. The ledger decides: of two ticks at once, one enqueues a window.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from shared import alerts, failures
from shared.discreet import said, told
from shared.due import Due, beyond_reach, candidates, looked_at, own_windows
from shared.errors import DatabaseError, DatabaseUnreachable, error_class
from shared.jobs import Job, Worker
from shared.ledger import LEASE
from shared.ports import Ports, Row
from shared.settings import Gate
from shared.statements import SQL
from shared.windows import CATCH_UP_WINDOWS_MAX, Schedule, Window

FORGOTTEN_RUNS_MAX = 2_000  # a job and tick: far more than any job adds between two ticks


async def dispatch(worker: Worker, cron: str, tick: datetime, ports: Ports) -> int:
    """Enqueue what is due at `tick`, the planned time of `cron`. Gives the number of messages."""
    try:
        if not _gate_is_open(worker, cron, ports):
            return 0
        try:
            jobs = looked_at(worker, cron, ports.db)
            if not jobs:
                return 0
            due, late = _claim(jobs, tick, ports)
        except (DatabaseError, DatabaseUnreachable) as error:
            ports.log(
                "dispatch.blind",
                level="error",
                cron=cron,
                error_class=error_class(error),
                error=told(error),
            )
            return await _enqueue(own_windows(worker, cron, tick), worker, cron, tick, ports)
        try:
            count = await _enqueue(due, worker, cron, tick, ports)
        finally:  # they are marked as reported: no later tick would do it
            await _report_overdue(late, tick, ports)
        _forget(jobs, tick, ports)
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


def _claim(looked: list[Job], tick: datetime, ports: Ports) -> tuple[list[Due], list[Row]]:
    """Claim the due windows in the ledger, and mark those newly overdue: all of it or nothing."""
    jobs = {job.type: (job, job.schedule) for job in looked if job.schedule}
    now = max(tick, ports.clock())  # a tick may come late: a lease lasts from when it is given
    with ports.db.transaction():
        schedules = ports.db.rows(
            SQL["open_schedules"],
            job_types=list(jobs),
            beginnings=[schedule.beginning(tick) for _, schedule in jobs.values()],
            now=tick,
        )
        running = [row for row in schedules if not row["paused"]]
        wanted = [due for row in running for due in candidates(*jobs[row["job_type"]], row, tick)]
        claimed = ports.db.rows(
            SQL["claim_windows"],
            **_columns(wanted),
            alone=[due.schedule.is_about_now for due in wanted],
            running=[row["job_type"] for row in running],
            now=now,
            lease_until=now + LEASE,
            most=CATCH_UP_WINDOWS_MAX,
        )
        _record_skipped(running, jobs, tick, now, ports)
        late = ports.db.rows(SQL["mark_overdue"], **_columns(_past_grace(wanted, tick)), now=tick)
    order = {(due.job.type, due.window): place for place, due in enumerate(wanted)}
    due = [Due(*jobs[row["job_type"]], _window(row), row["trigger"]) for row in claimed]
    return sorted(due, key=lambda one: order.get((one.job.type, one.window), len(order))), late


def _record_skipped(
    running: list[Row],
    jobs: dict[str, tuple[Job, Schedule]],
    tick: datetime,
    now: datetime,
    ports: Ports,
) -> None:
    """Windows too many or too old to catch up get a row that says so, and are reported, unless
    their job acts on what there is now."""
    skipped: list[Due] = []
    recorded_until: list[datetime] = []
    for row in running:
        due, until = beyond_reach(*jobs[row["job_type"]], row["recorded_until"], tick)
        skipped += due
        recorded_until.append(until)
    recorded: list[Row] = []
    if skipped:
        recorded = ports.db.rows(SQL["record_skipped"], **_columns(skipped), now=now)
    types = [row["job_type"] for row in running]
    bounds = [jobs[job_type][1].catch_up_start(tick) for job_type in types]
    abandoned = ports.db.rows(SQL["abandon_windows"], job_types=types, bounds=bounds, now=now)
    reported = {job_type for job_type in types if not jobs[job_type][1].is_about_now}
    _report_skipped([row for row in recorded + abandoned if row["job_type"] in reported], ports)
    ports.db.execute(SQL["advance_watermarks"], job_types=types, recorded=recorded_until)


def _report_skipped(skipped: list[Row], ports: Ports) -> None:
    for job_type in sorted({row["job_type"] for row in skipped}):
        windows = [_window(row) for row in skipped if row["job_type"] == job_type]
        span = f"{min(windows).start.isoformat()} to {max(windows).end.isoformat()}"
        ports.log("dispatch.skipped", level="error", type=job_type, count=len(windows), window=span)


def _past_grace(candidates: Iterable[Due], tick: datetime) -> list[Due]:
    return [due for due in candidates if due.planned + due.schedule.grace <= tick]


def _forget(jobs: list[Job], tick: datetime, ports: Ports) -> None:
    """Delete, in bounded portions, what the ledger need not know any more. If that fails, the next
    tick does it."""
    failures.forget(ports)
    try:
        with ports.db.transaction():
            ports.db.execute(
                SQL["forget_runs"],
                job_types=[job.type for job in jobs],
                before=[tick - job.keep_runs for job in jobs],
                now=tick,
                most=FORGOTTEN_RUNS_MAX,
            )
    except (DatabaseError, DatabaseUnreachable) as error:
        ports.log(
            "runs.unforgotten",
            level="warning",
            error_class=error_class(error),
            error=told(error),
        )


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
