"""`mauntic backfill`: run a past range of a job's windows, a few at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from mauntic.cli.commands.jobs import JobType
from mauntic.cli.ui.options import AsJson, DryRun, Remote, Yes, confirm, interrupted
from mauntic.cli.ui.output import busy, print_json, print_table, progress, remark, say
from mauntic.cli.ui.time_args import moment
from mauntic.errors import OperatorError
from mauntic.operations import before_retention
from mauntic.operations.backfill import Backfill, Only, Plan, plan, summary_json
from mauntic.operations.system import SystemEnded
from mauntic.operations.systems import open_records, open_system
from mauntic.operations.worker_catalog import find_job, schedule_of
from mauntic.project.printable import count_of
from shared.jobs import Job, Worker
from shared.ledger.ledger import LEASE
from shared.ports import Database, Row
from shared.windows import Schedule, Window

POLL_S = 0.1
STALLED_AFTER_S = 30
SHOWN_MAX = 20
WINDOWS_MAX = 100_000  # eleven years of hours

BeforeRetention = Annotated[
    bool,
    typer.Option(
        before_retention.OPTION,
        help="Also write days before the retained period, from the events that remain.",
    ),
]
Bounds = tuple[datetime, datetime]
Span = dict[str, str]  # the first and the last window of the range


@dataclass(frozen=True)
class Options:
    """The options of the command, except its range."""

    worker: Worker
    job: Job
    only: Only
    at_most: int
    before_retention: bool
    dry_run: bool
    yes: bool
    as_json: bool
    remote: bool


def backfill(
    job_type: JobType,
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="Start of the range.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="End of the range, exclusive.")],
    at_most: Annotated[
        int, typer.Option(min=1, max=1_000, help="Maximum number of windows in progress.")
    ] = 8,
    only: Annotated[Only, typer.Option(help="Which windows to run.")] = "missing",
    written_before: BeforeRetention = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Run the windows of a past range. Ctrl-C is safe: it prints the command that continues.

    `missing` selects windows that never ran, were skipped or were abandoned. `failed` selects
    windows that died or whose retries stopped. Running windows are skipped. Exits with 1 if a
    window died or got no answer.

    Days before an organization's retained period keep their rows, because their events were purged.
    With --before-retention they are set from the events that remain: usually none. The dry run
    lists the changes; without --yes the run shows the list and asks.

    Examples:

      mauntic backfill analytics.aggregate-hourly --from 2026-03-01 --to 2026-03-08 --dry-run

      mauntic backfill analytics.aggregate-hourly --from 2026-03-01 --to 2026-03-08 --only all

      mauntic backfill analytics.aggregate-hourly --from 2025-03-01 --to 2025-03-02 --only all
      --before-retention --dry-run
    """
    worker, job = find_job(job_type)
    asked = Options(worker, job, only, at_most, written_before, dry_run, yes, as_json, remote)
    _run(asked, (moment(start), moment(end)))


def _run(asked: Options, bounds: Bounds) -> None:
    job, only, as_json, now = asked.job, asked.only, asked.as_json, datetime.now(UTC)
    schedule = schedule_of(job)
    with open_records(remote=asked.remote) as db:
        with busy("looking at the ledger"):
            windows = _windows(schedule, bounds, now)
            chosen = plan(db, job, windows, only, now)
        span = {"first": str(windows[0]), "last": str(windows[-1])}
        changing = _matching_runs(db, job, windows, only) if asked.before_retention else None
        if asked.dry_run:
            return _print_plan(as_json, job, chosen, span, changing)
        if changing is not None:
            _confirm(changing, as_json, asked.yes)
        with open_system(remote=asked.remote) as system:
            queue = asked.worker.queue_of(job).name
            backfill_run = Backfill(db, system, queue, job, schedule, only, asked.at_most)
            backfill_run.before_retention = asked.before_retention
            _execute(backfill_run, chosen, as_json, span)


def _windows(schedule: Schedule, bounds: Bounds, now: datetime) -> list[Window]:
    start, end = bounds
    if start >= end:
        raise typer.BadParameter("--from must be before --to.")
    end = min(end, now)
    newest = schedule.newest_due(now)
    count = (end - start) / (newest.end - newest.start)
    if count > WINDOWS_MAX:
        raise OperatorError(
            f"These are {count:,.0f} windows; at most {WINDOWS_MAX:,} are allowed:"
            " choose a shorter range."
        )
    windows = schedule.between(start, end)
    if not windows:
        raise OperatorError("The range contains no whole window that has ended.")
    return windows


def _matching_runs(db: Database, job: Job, windows: list[Window], only: Only) -> list[Row]:
    before_retention.check_allowed(job, windows, only)
    with progress() as bar:
        task = bar.add_task("before the retained period", total=None)
        return before_retention.changes(db, job, windows, lambda n: bar.advance(task, n))


def _confirm(changing: list[Row], as_json: bool, yes: bool) -> None:
    if not as_json:
        _show_changes(changing)
    if changing:
        changed = count_of(sum(row["changed"] for row in changing), "row")
        zero = sum(row["become_zero"] for row in changing)
        confirm(f"write {changed} before the retained period, {zero:,} of them to 0?", yes=yes)


def _show_changes(changing: Sequence[Row]) -> None:
    empty = "no row before a retained period"
    print_table("would change before the retained period", changing, empty=empty)


def _execute(backfill_run: Backfill, chosen: Plan, as_json: bool, span: Span) -> None:
    backfill_run.begin(chosen)
    began = time.monotonic()
    cut_short: BaseException | None = None
    try:
        _until_done(backfill_run, len(chosen.todo) + len(chosen.busy))
    except BaseException as error:  # print the outcome of the windows first
        cut_short = error
    result = {
        "type": backfill_run.job.type,
        **span,
        "windows": len(chosen.todo) + len(chosen.busy),
        **summary_json(backfill_run.summary),
        "in_flight": backfill_run.in_flight,
        "left_alone": dict(chosen.left),
        "seconds": round(time.monotonic() - began, 1),
    }
    _print(as_json, result | {"interrupted": cut_short is not None})
    if isinstance(cut_short, KeyboardInterrupt):
        interrupted(f"windows in progress will finish; {_continuation(backfill_run)}")
    if cut_short:
        remark(f"cut short: {_in_flight(backfill_run, cut_short)}{_continuation(backfill_run)}")
        raise cut_short
    if result["dead"] or result["unanswered"]:
        raise typer.Exit(1)


def _continuation(backfill_run: Backfill) -> str:
    """Return the command that continues. `all` needs a narrower range: the ledger cannot tell
    which windows ran again."""
    oldest = backfill_run.oldest_open
    again = "the same command"
    if backfill_run.only == "all" and oldest:
        again = f"the same command with --from {oldest.start:%Y-%m-%dT%H:%MZ}"
    return f"run {again} to continue"


def _in_flight(backfill_run: Backfill, error: BaseException) -> str:
    """Return a notice about windows whose messages were lost with the local system."""
    if not backfill_run.in_flight or not isinstance(error, SystemEnded):
        return ""
    minutes = LEASE // timedelta(minutes=1)
    return f"the first tick after {minutes} minutes sends the windows in progress again; "


def _until_done(backfill_run: Backfill, total: int) -> None:
    with progress() as bar:
        task = bar.add_task(backfill_run.job.type, total=total)
        moved_at = time.monotonic()
        while True:
            moved = backfill_run.step()
            bar.update(task, completed=backfill_run.summary.ended)
            if backfill_run.is_done:
                return
            if moved:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > STALLED_AFTER_S:
                moved_at = time.monotonic()
                remark("no window has ended recently: see `mauntic queues status`")
            time.sleep(POLL_S)


def _print_plan(
    as_json: bool, job: Job, chosen: Plan, span: Span, changing: list[Row] | None
) -> None:
    rows = [{"window": str(window), "now": now} for window, now in chosen.todo]
    if as_json:
        busy = [str(window) for window in chosen.busy]
        left = dict(chosen.left)
        result = {"type": job.type, **span, "would_run": rows, "busy": busy, "left_alone": left}
        print_json(result | ({} if changing is None else {"would_change": changing}))
        return
    if changing is not None:
        _show_changes(changing)
    print_table(f"{job.type}: would run", rows)
    say(f"of the windows {span['first']} to {span['last']}:")
    busy_ones = f"{len(chosen.busy):,} {'is' if len(chosen.busy) == 1 else 'are'} in progress"
    say(f"{count_of(len(rows), 'window')}; {busy_ones}; {_left_out(chosen.left)}")


def _print(as_json: bool, result: dict[str, Any]) -> None:
    if as_json:
        print_json(result)
        return
    hidden = ("left_alone", "interrupted", "first", "last")
    counted = {
        name: len(value) if isinstance(value, list) else value
        for name, value in result.items()
        if name not in hidden
    }
    print_table(f"backfill of the windows {result['first']} to {result['last']}", [counted])
    _lines(f"changed {run['window']} {count_of(run['rows'], 'row')}" for run in result["changed"])
    _lines(f"dead {run['window']} {run['error']}" for run in result["dead"])
    _lines(f"unanswered {window}" for window in result["unanswered"])
    say(_left_out(result["left_alone"]))


def _lines(texts: Iterable[str]) -> None:
    """Print the first lines and the number of the others."""
    lines = list(texts)
    for line in lines[:SHOWN_MAX]:
        say(line)
    if len(lines) > SHOWN_MAX:
        say(f"… and {len(lines) - SHOWN_MAX:,} more")


def _left_out(counts: dict[str, int]) -> str:
    listed = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items()))
    return f"not run: {listed or 'none'}"
