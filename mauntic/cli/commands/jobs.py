"""`mauntic jobs`: list jobs with their state; run, pause and resume a job."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from mauntic.cli.ui.options import AsJson, By, Note, Remote, interrupted, who
from mauntic.cli.ui.output import busy, cell, print_json, print_table, say
from mauntic.cli.ui.time_args import window_of
from mauntic.operations import ledger_queries
from mauntic.operations.systems import open_records, open_system
from mauntic.operations.wait_for_run import end_of, starts_so_far
from mauntic.operations.worker_catalog import find_job, schedule_of, workers
from mauntic.project.printable import count_of
from shared.jobs import Job, Worker
from shared.ports import Database, Row
from shared.tick.due import Due
from shared.windows import Schedule, Window

app = typer.Typer(
    no_args_is_help=True,
    help="""List jobs with their state; run, pause, resume a job.

    Examples:

      mauntic jobs list

      mauntic jobs run analytics.aggregate-hourly

      mauntic jobs pause analytics.aggregate-hourly --note "moving the database"
    """,
)

JobType = Annotated[str, typer.Argument(metavar="TYPE", help="Message type of the job.")]


@app.command("list")
def list_(as_json: AsJson = False, remote: Remote = False) -> None:
    """List jobs: schedule, next fire, last success, lag, and whether a job is overdue or paused.

    Lag is the number of seconds between the end of the newest window that succeeded and the end of
    the newest due window; time before a schedule's first tick does not count. A job without a
    schedule runs when a message is sent to it.

    Examples:

      mauntic jobs list

      mauntic jobs list --json | jq -r '.[] | select(.state == "overdue") | .type'
    """
    now = datetime.now(UTC)
    scheduled = [(job, job.schedule) for worker in workers() for job in worker.jobs if job.schedule]
    with open_records(remote=remote) as db:
        states = ledger_queries.job_states(db, scheduled, now)
    rows = [
        _job_row(worker, job, states.get(job.type), now)
        for worker in workers()
        for job in worker.jobs
    ]
    if as_json:
        print_json(rows)
    else:
        print_table("jobs", [{name: _shown(row, name) for name in SHOWN} for row in rows])


@app.command()
def run(
    job_type: JobType,
    window: Annotated[
        str | None, typer.Option(metavar="START[/END]", help="The window (default: the last one).")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the run has succeeded or died.")] = True,
    timeout: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="Maximum wait.")] = 900,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Run a window of a job now. Repeating a window leaves the same rows.

    Prints the outcome; exits with 1 if the run died. Ctrl-C ends only the wait. --window takes the
    start of the window; `scheduledFor` of a message is its end.

    Examples:

      mauntic jobs run analytics.aggregate-hourly

      mauntic jobs run analytics.aggregate-hourly --window 2026-03-10T10:00Z --no-wait
    """
    worker, job = find_job(job_type)
    schedule = schedule_of(job)
    now = datetime.now(UTC)
    wanted = window_of(schedule, window, now) if window else schedule.window_of(now)
    body = Due(job, schedule, wanted, "manual").body()
    with open_records(remote=remote) if wait else nullcontext() as db:
        token = starts_so_far(db, job, wanted) if db else 0
        with open_system(remote=remote) as system:
            system.send(worker.queue_of(job).name, [body])
        row = _wait(db, job, wanted, token, timeout) if db else {"status": "sent"}
    _print_run(as_json, job, wanted, row)


def _wait(db: Database, job: Job, window: Window, token: int, timeout_s: int) -> Row:
    """Wait and return the window's final row. Ctrl-C ends the wait but not the run."""
    try:
        with busy("waiting") as shown:
            return end_of(
                db,
                job,
                window,
                token,
                timeout_s,
                lambda text: shown.update(escape(text)) if shown else None,
            )
    except KeyboardInterrupt:
        see = f"`mauntic runs show {job.type} {window.start:%Y-%m-%dT%H:%MZ}`"
        interrupted(f"its message stays queued and {window} still runs: see {see}")


@app.command()
def pause(
    job_type: JobType,
    note: Note = None,
    by: By = "",
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Pause a schedule: its ticks enqueue nothing. After `resume` they catch up.

    Example:

      mauntic jobs pause analytics.aggregate-hourly --note "moving the database"
    """
    _set_paused(job_type, True, note, by, as_json, remote)


@app.command()
def resume(
    job_type: JobType,
    note: Note = None,
    by: By = "",
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Resume a schedule: the next tick catches up at most 48 windows and 14 days.

    Example:

      mauntic jobs resume analytics.aggregate-hourly
    """
    _set_paused(job_type, False, note, by, as_json, remote)


SHOWN = ("type", "schedule", "next_fire", "last_success_at", "lag_s", "unfinished", "state", "note")


def _job_row(worker: Worker, job: Job, row: Row | None, now: datetime) -> dict[str, Any]:
    state = row or {}
    schedule, until = job.schedule, state.get("succeeded_until")
    return {
        "type": job.type,
        "worker": worker.name,
        "queue": worker.queue_of(job).name,
        "schedule": schedule.cron if schedule else None,
        "next_fire": schedule.next_fire(now) if schedule else None,
        "last_success_at": state.get("last_success_at"),
        "succeeded_from": state.get("succeeded_from"),
        "succeeded_until": until,
        "lag_s": _lag_s(schedule, state.get("starts_at"), until, now),
        "unfinished": state.get("unfinished"),
        "overdue": bool(state.get("overdue")),
        "paused": bool(state.get("paused")),
        "state": state_of(schedule, state),
        "changed_by": state.get("changed_by"),
        "changed_at": state.get("changed_at"),
        "note": state.get("note"),
        "purpose": job.purpose,
    }


def _shown(row: dict[str, Any], name: str) -> Any:
    """Show the reason for a pause after the operator's name."""
    if name == "note" and row["paused"]:
        return ": ".join(part for part in (row["changed_by"], row["note"]) if part)
    return row[name]


def state_of(schedule: Schedule | None, row: Row) -> str:
    """Return the job's state in one word."""
    if schedule is None:
        return "on message"
    if row.get("paused"):
        return "paused"
    if row.get("overdue"):
        return "overdue"
    return "ok" if row.get("starts_at") else "no tick yet"


def _lag_s(
    schedule: Schedule | None,
    starts_at: datetime | None,
    succeeded_until: datetime | None,
    now: datetime,
) -> int | None:
    """Return the lag; nothing before a schedule's first tick counts as missed."""
    if schedule is None or starts_at is None or succeeded_until is None:
        return None
    behind = schedule.newest_due(now).end - max(starts_at, succeeded_until)
    return max(0, round(behind.total_seconds()))


def _print_run(as_json: bool, job: Job, window: Window, row: Row) -> None:
    result = {"type": job.type, "window": str(window), **row}
    if as_json:
        print_json({name: value for name, value in result.items() if name != "lease_until"})
    else:
        line = f"{job.type} {window} {row['status']}{_result(row)}"
        say(line)
    if row["status"] == "dead":
        raise typer.Exit(1)


def _result(row: Row) -> str:
    if row.get("error_class"):
        return f": {row['error_class']}: {row['error_text']}"
    if row["status"] != "succeeded":
        return ""
    return f": {count_of(row['rows_read'] or 0, 'row')} read, {row['rows_written'] or 0:,} changed"


def _set_paused(
    job_type: str, paused: bool, note: str | None, by: str, as_json: bool, remote: bool
) -> None:
    worker, job = find_job(job_type)
    schedule_of(job)
    now = datetime.now(UTC)
    with open_records(remote=remote) as db:
        changed = ledger_queries.set_paused(db, job.type, paused, note=note, by=who(by), now=now)
    if as_json:
        print_json({"type": job.type, "paused": paused, "changed": changed})
        return
    word = ("paused" if paused else "resumed") + ("" if changed else " already")
    then = (
        "" if paused or not changed else f": the tick of {cell(_next_tick(worker, now))} catches up"
    )
    say(f"{job.type} {word}{then}")


def _next_tick(worker: Worker, now: datetime) -> datetime:
    """Return the time of the worker's next cron: every tick examines all jobs."""
    return min(job.schedule.next_fire(now) for job in worker.jobs if job.schedule)
