"""`mauntic backfill`: run any past range of a job's windows, a few at a time."""

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
from mauntic.operations.backfill import Filling, Only, Plan, described, plan
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
        help="Write days before the retained period too, as the events that are left say.",
    ),
]
Bounds = tuple[datetime, datetime]
Span = dict[str, str]  # the first and the last window that the command looked at


@dataclass(frozen=True)
class Asked:
    """The command as it was given, but for its range."""

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
    kind: JobType,
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="From here on.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Up to here, not including.")],
    at_most: Annotated[int, typer.Option(min=1, max=1_000, help="So many windows at once.")] = 8,
    only: Annotated[Only, typer.Option(help="Which of them.")] = "missing",
    written_before: BeforeRetention = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Run the windows of a past range. Ctrl-C is harmless: it says what command goes on.

    `missing` are those without success and without a verdict: never run, skipped, or abandoned.
    `failed` are those that died or whose retries stopped. A window that is running is left alone.
    Exit code 1 if a window died or was not answered.

    Days before an organization's retained period keep their rows, because their events were purged.
    With --before-retention they follow the events that are left: mostly none. The dry run lists
    what would change; without --yes the run shows the list and asks.

    Examples:

      mauntic backfill analytics.aggregate-hourly --from 2026-03-01 --to 2026-03-08 --dry-run

      mauntic backfill analytics.aggregate-hourly --from 2026-03-01 --to 2026-03-08 --only all

      mauntic backfill analytics.aggregate-hourly --from 2025-03-01 --to 2025-03-02 --only all
      --before-retention --dry-run
    """
    worker, job = find_job(kind)
    asked = Asked(worker, job, only, at_most, written_before, dry_run, yes, as_json, remote)
    _run(asked, (moment(start), moment(end)))


def _run(asked: Asked, bounds: Bounds) -> None:
    job, only, as_json, now = asked.job, asked.only, asked.as_json, datetime.now(UTC)
    schedule = schedule_of(job)
    with open_records(remote=asked.remote) as db:
        with busy("looking at the ledger"):
            windows = _windows(schedule, bounds, now)
            chosen = plan(db, job, windows, only, now)
        span = {"first": str(windows[0]), "last": str(windows[-1])}
        changing = _listed(db, job, windows, only) if asked.before_retention else None
        if asked.dry_run:
            return _tell_plan(as_json, job, chosen, span, changing)
        if changing is not None:
            _agree(changing, as_json, asked.yes)
        with open_system(remote=asked.remote) as system:
            queue = asked.worker.queue.name
            filling = Filling(db, system, queue, job, schedule, only, asked.at_most)
            filling.before_retention = asked.before_retention
            _fill(filling, chosen, as_json, span)


def _windows(schedule: Schedule, bounds: Bounds, now: datetime) -> list[Window]:
    start, end = bounds
    if start >= end:
        raise typer.BadParameter("--from must be before --to.")
    end = min(end, now)
    newest = schedule.newest_due(now)
    count = (end - start) / (newest.end - newest.start)
    if count > WINDOWS_MAX:
        raise OperatorError(
            f"These are {count:,.0f} windows, and {WINDOWS_MAX:,} at most: say a part."
        )
    windows = schedule.between(start, end)
    if not windows:
        raise OperatorError("No whole window that is over lies in this range.")
    return windows


def _listed(db: Database, job: Job, windows: list[Window], only: Only) -> list[Row]:
    before_retention.check_allowed(job, windows, only)
    with progress() as bar:
        task = bar.add_task("before the retained period", total=None)
        return before_retention.changes(db, job, windows, lambda n: bar.advance(task, n))


def _agree(changing: list[Row], as_json: bool, yes: bool) -> None:
    if not as_json:
        _show_changes(changing)
    if changing:
        changed = count_of(sum(row["changed"] for row in changing), "row")
        zero = sum(row["become_zero"] for row in changing)
        confirm(f"write {changed} before the retained period, {zero:,} of them to 0?", yes=yes)


def _show_changes(changing: Sequence[Row]) -> None:
    empty = "no row before a retained period"
    print_table("would change before the retained period", changing, empty=empty)


def _fill(filling: Filling, chosen: Plan, as_json: bool, span: Span) -> None:
    filling.begin(chosen)
    began = time.monotonic()
    cut_short: BaseException | None = None
    try:
        _until_done(filling, len(chosen.todo) + len(chosen.busy))
    except BaseException as error:  # whatever it was: what became of the windows is told first
        cut_short = error
    told = {
        "type": filling.job.type,
        **span,
        "windows": len(chosen.todo) + len(chosen.busy),
        **described(filling.summary),
        "in_flight": filling.in_flight,
        "left_alone": dict(chosen.left),
        "seconds": round(time.monotonic() - began, 1),
    }
    _tell(as_json, told | {"interrupted": cut_short is not None})
    if isinstance(cut_short, KeyboardInterrupt):
        interrupted(f"what is in flight ends by itself; {_goes_on(filling)}")
    if cut_short:
        remark(f"cut short: {_in_flight(filling, cut_short)}{_goes_on(filling)}")
        raise cut_short
    if told["dead"] or told["unanswered"]:
        raise typer.Exit(1)


def _goes_on(filling: Filling) -> str:
    """With `all` the ledger cannot tell what was run again: the range has to be narrowed."""
    oldest = filling.oldest_open
    again = "the same command"
    if filling.only == "all" and oldest:
        again = f"the same command with --from {oldest.start:%Y-%m-%dT%H:%MZ}"
    return f"{again} goes on"


def _in_flight(filling: Filling, error: BaseException) -> str:
    """What becomes of the windows whose messages a local system took with it."""
    if not filling.in_flight or not isinstance(error, SystemEnded):
        return ""
    minutes = LEASE // timedelta(minutes=1)
    return f"what is in flight is sent anew by the first tick after {minutes} minutes; "


def _until_done(filling: Filling, total: int) -> None:
    with progress() as bar:
        task = bar.add_task(filling.job.type, total=total)
        moved_at = time.monotonic()
        while True:
            moved = filling.step()
            bar.update(task, completed=filling.summary.ended)
            if filling.is_done:
                return
            if moved:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > STALLED_AFTER_S:
                moved_at = time.monotonic()
                remark("no window has ended for a while: see `mauntic queues status`")
            time.sleep(POLL_S)


def _tell_plan(
    as_json: bool, job: Job, chosen: Plan, span: Span, changing: list[Row] | None
) -> None:
    rows = [{"window": str(window), "now": now} for window, now in chosen.todo]
    if as_json:
        busy = [str(window) for window in chosen.busy]
        left = dict(chosen.left)
        told = {"type": job.type, **span, "would_run": rows, "busy": busy, "left_alone": left}
        print_json(told | ({} if changing is None else {"would_change": changing}))
        return
    if changing is not None:
        _show_changes(changing)
    print_table(f"{job.type}: would run", rows)
    say(f"of the windows {span['first']} to {span['last']}:")
    busy_ones = f"{len(chosen.busy):,} {'is' if len(chosen.busy) == 1 else 'are'} being run"
    say(f"{count_of(len(rows), 'window')}; {busy_ones}; {_left(chosen.left)}")


def _tell(as_json: bool, told: dict[str, Any]) -> None:
    if as_json:
        print_json(told)
        return
    hidden = ("left_alone", "interrupted", "first", "last")
    counted = {
        name: len(value) if isinstance(value, list) else value
        for name, value in told.items()
        if name not in hidden
    }
    print_table(f"backfill of the windows {told['first']} to {told['last']}", [counted])
    _lines(f"changed {one['window']} {count_of(one['rows'], 'row')}" for one in told["changed"])
    _lines(f"dead {one['window']} {one['error']}" for one in told["dead"])
    _lines(f"unanswered {window}" for window in told["unanswered"])
    say(_left(told["left_alone"]))


def _lines(texts: Iterable[str]) -> None:
    """The first of them, and how many more there are."""
    lines = list(texts)
    for line in lines[:SHOWN_MAX]:
        say(line)
    if len(lines) > SHOWN_MAX:
        say(f"… and {len(lines) - SHOWN_MAX:,} more")


def _left(counts: dict[str, int]) -> str:
    told = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items()))
    return f"left alone: {told or 'none'}"
