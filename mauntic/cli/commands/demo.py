"""`mauntic demo`: run weeks of real events through the real workers and check the result.

Every planned time of those weeks ticks once, in order: its crons fire, and their messages are
finished before the next tick. Then the tables are compared with the files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby, takewhile
from operator import itemgetter
from time import monotonic
from typing import Any

import typer
from cronsim import CronSim
from pg8000.exceptions import DatabaseError, InterfaceError
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from analytics.worker import WORKER
from mauntic.cli.ui.dev_log import DevLog
from mauntic.cli.ui.options import AsJson, Yes
from mauntic.cli.ui.output import busy, console, errors, print_json, print_table
from mauntic.cli.ui.remote_database import confirm_elsewhere
from mauntic.cli.ui.signals import heed_interrupts
from mauntic.database.embedded.server import open_database
from mauntic.database.url import CONNECT_TIMEOUT_S, DatabaseUrl, connect, reason
from mauntic.demo.campaign import build_segments_and_send
from mauntic.demo.checks import Check, check
from mauntic.demo.database import DATABASE, fresh_database, how_to_look
from mauntic.demo.deliveries import deliver
from mauntic.demo.expected import count_files
from mauntic.demo.expected_scores import scores_from_file
from mauntic.demo.importer import SAMPLE_ROWS, Imported, import_samples
from mauntic.demo.scoring import best, check_scores, map_customers
from mauntic.local.control_client import LocalRuntime, RuntimeFailed
from mauntic.operations.connection import database_at
from mauntic.operations.statements import SQL
from scoring.worker import WORKER as SCORING
from shared.adapters.postgres.client import Postgres
from shared.jobs import Worker
from shared.ports import Row

TICK_TIMEOUT_S = 60
LOOK_EVERY_S = 5  # interval of checks that the database still answers

Seconds = dict[str, float]  # duration of each part
Tick = tuple[datetime, list[str]]  # a planned time, and the crons that fire then


@dataclass(frozen=True)
class Result:
    """The imported rows, each check, the highest scores and their time."""

    imported: Imported
    checks: list[Check]
    best: list[Row]
    scored_at: datetime

    @property
    def wrong(self) -> list[str]:
        """The titles of the checks that differ from the source."""
        return [outcome.title for outcome in self.checks if not outcome.is_right]


def demo(yes: Yes = False, as_json: AsJson = False) -> None:
    """Run weeks of real events through the workers and compare the result with the source.

    Exits with 1 if anything differs. The result stays in the database mauntic_demo until the next
    demo; DATABASE_URL=postgresql:///mauntic_demo lets other commands inspect it.

    Examples:

      mauntic demo

      mauntic demo --json | jq .wrong
    """
    heed_interrupts()
    confirm_elsewhere(os.environ, f"drop and recreate the database {DATABASE} there", yes=yes)
    took: Seconds = {}
    with _start(took) as (runtime, url):
        result = run(runtime, url, took)
    if as_json:
        print_json(asdict(result) | {"wrong": result.wrong, "seconds": took})
    else:
        _show(result, took)
    if result.wrong:
        raise typer.Exit(1)


@contextmanager
def _start(took: Seconds) -> Iterator[tuple[LocalRuntime, str]]:
    """Yield running workers on a database of their own, and its URL."""
    with ExitStack() as stack, _errors_only() as show:
        with _measure("start database and workers", took), busy("starting database and workers"):
            url = stack.enter_context(_database())
            runtime = stack.enter_context(LocalRuntime(url, on_event=show))
        yield runtime, url


@contextmanager
def _database() -> Iterator[str]:
    with open_database(os.environ) as server, fresh_database(server.url) as url:
        yield url


def run(runtime: LocalRuntime, database_url: str, took: Seconds) -> Result:
    """Run the demo on a started runtime and its empty database."""
    with closing(database_at(database_url)) as database:
        with _measure("import events and contacts", took), _progress("import", SAMPLE_ROWS) as bar:
            imported = import_samples(database_url, bar)
        first, last = _span(database)
        ticks = planned_ticks(WORKER.crons, first, last)
        with _measure(f"run {len(ticks)} hours", took), _progress("hours", len(ticks)) as bar:
            for tick in ticks:
                run_tick(runtime, tick)
                bar(1)
        scored_at = ticks[-1][0]
        with _measure("score the retailer's customers", took), busy("scoring"):
            score_customers(runtime, database, scored_at)
        with _measure("count the files and compare", took), busy("counting"):
            checks = check(database, count_files())
            checks.append(check_scores(database, scores_from_file(scored_at)))
        with _measure("deliver messages", took), busy("delivering"):
            checks.append(deliver(runtime))
        with _measure("build segments, send a campaign", took), busy("sending a campaign"):
            checks += build_segments_and_send(runtime)
        return Result(imported, checks, best(database), scored_at)


def score_customers(runtime: LocalRuntime, database: Postgres, at: datetime) -> None:
    """Map the shop's customers to contacts, then run a tick of the scoring worker."""
    map_customers(database)
    for cron in SCORING.crons:
        fire(runtime, SCORING, cron, at)


def _show(result: Result, took: Seconds) -> None:
    imported, total_s = result.imported, sum(took.values())
    console.print(f"{imported.events:,} events, {imported.contacts:,} contacts imported")
    for outcome in result.checks:
        print_table(outcome.title, outcome.rows)
    print_table("The ten highest scores, and what contributes to them", result.best)
    print_table("Time taken", [{"part": part, "seconds": round(s, 1)} for part, s in took.items()])
    if result.wrong:
        differing = ", ".join(result.wrong)
        console.print(f"[bold red]differs[/] from the source: {differing} ({total_s:.0f} s)")
    else:
        console.print(f"[bold green]all equal[/] to the files ({total_s:.0f} s)")
    for first in result.best[:1]:
        look = how_to_look(os.environ, first["contact"], result.scored_at)
        console.print(look, highlight=False, soft_wrap=True)


def planned_ticks(crons: Sequence[str], first: datetime, last: datetime) -> list[Tick]:
    """Return the ticks after `first` until each cron has fired once after `last`.

    >>> from datetime import UTC
    >>> first, last = (datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (12, 13))
    >>> [(at.hour, crons) for at, crons in planned_ticks(["0 * * * *", "0 14 * * *"], first, last)]
    [(13, ['0 * * * *']), (14, ['0 * * * *', '0 14 * * *'])]
    """
    end = max(next(CronSim(cron, last)) for cron in crons)
    fires = sorted(
        (at, cron) for cron in crons for at in takewhile(lambda at: at <= end, CronSim(cron, first))
    )
    return [(at, [cron for _, cron in group]) for at, group in groupby(fires, key=itemgetter(0))]


def run_tick(runtime: LocalRuntime, tick: Tick) -> None:
    """Fire the crons of a planned time and wait until their messages are finished."""
    at, crons = tick
    for cron in crons[1:]:
        _fire_one(runtime, WORKER, cron, at)
    fire(runtime, WORKER, crons[0], at)


def fire(runtime: LocalRuntime, worker: Worker, cron: str, at: datetime) -> None:
    """Fire one cron and wait until its messages are finished."""
    _fire_one(runtime, worker, cron, at)
    queues = [name for q in worker.queues for name in (q.name, q.dead_letter_name)]
    deadline = monotonic() + TICK_TIMEOUT_S
    while not runtime.control.wait_idle(queues, timeout_s=LOOK_EVERY_S, quiet_ms=0):
        _assert_database(runtime, at)
        if monotonic() > deadline:
            raise RuntimeFailed(
                f"The messages of {at} were not finished within {TICK_TIMEOUT_S} seconds."
            )


def _assert_database(runtime: LocalRuntime, at: datetime) -> None:
    """Raise RuntimeFailed if the database is gone, which explains an unfinished tick."""
    try:
        connect(runtime.database_url, timeout_s=CONNECT_TIMEOUT_S).close()
    except (InterfaceError, DatabaseError, OSError) as error:
        address = DatabaseUrl.parse(runtime.database_url).address
        raise RuntimeFailed(
            f"The database at {address} has ended ({reason(error)}), so the tick of"
            f" {at:%Y-%m-%dT%H:%MZ} cannot be done: start it, and run the demo again."
        ) from None


def _fire_one(runtime: LocalRuntime, worker: Worker, cron: str, at: datetime) -> None:
    answer = runtime.control.fire_cron(worker.name, cron, at)
    if answer["outcome"] != "ok":
        _assert_database(runtime, at)
        raise RuntimeFailed(f"The cron {cron} of {at} failed: {answer['error']}")


def _span(database: Postgres) -> tuple[datetime, datetime]:
    [row] = database.rows(SQL["demo_span"])
    return row["first"], row["last"]


@contextmanager
def _errors_only() -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yield a function that prints only the workers' errors, and none after an interrupt."""
    log = DevLog(as_json=False, to=errors)
    interrupted = False

    def show(event: dict[str, Any]) -> None:
        is_error = event.get("level") == "error" or '"level": "error"' in event.get("text", "")
        if is_error and not interrupted:
            log.show(event)

    try:
        yield show
    except KeyboardInterrupt:
        interrupted = True
        raise


@contextmanager
def _measure(part: str, took: Seconds) -> Iterator[None]:
    started = monotonic()
    if not errors.is_terminal:
        errors.print(f"{part} …")
    yield
    took[part] = monotonic() - started


@contextmanager
def _progress(label: str, total: int) -> Iterator[Any]:
    """Show a bar on the terminal; yield the function that advances it."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda count: bar.advance(task, count)
