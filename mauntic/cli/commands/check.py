"""`mauntic check`: everything that is wrong, in one list; exit code 1 if there is anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from mauntic.checks import Problem, declarations, derived, pages, schema, topology
from mauntic.cli.ui.options import AsJson
from mauntic.cli.ui.output import busy, console, print_json, print_table, progress
from mauntic.cli.ui.time_args import moment
from mauntic.database.migrations import MigrationFailed
from mauntic.database.url import DatabaseUnavailable
from mauntic.errors import OperatorError
from mauntic.operations.connection import database_at, local_url
from mauntic.operations.worker_catalog import declared

DEEP_DAYS = 35
DEEP_DAYS_MAX = 4_000  # eleven years, as a backfill of hours
SHOWN_MAX = 50


def check(
    deep: Annotated[
        bool, typer.Option("--deep", help="Count every derived table again too.")
    ] = False,
    start: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="For --deep; else 35 days back.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="For --deep; else today's midnight.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Leave the database out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Every problem of jobs, messages, wrangler.toml, queues, docs and database, in one list.

    The counts of the daily rollups of 35 days are compared with their events.
    --deep counts again what the jobs derive: rollups and campaigns of 35 days, the usage of months
    that ended in them, every score, and events that are there twice. Each finding names the command
    that corrects it; run the commands in the order of the list.

    Examples:

      mauntic check --offline

      DATABASE_URL=… mauntic check --deep --from 2026-03-01 --to 2026-04-01
    """
    if offline and deep:
        raise typer.BadParameter("--deep needs the database that --offline leaves out.")
    if (start or end) and not deep:
        raise typer.BadParameter("--from and --to say which days --deep compares: say --deep too.")
    bounds = _days(start, end)
    found = list(static_problems())
    differing: derived.Found = {}
    if not offline:
        differing = _look_at_the_database(found, bounds if deep else None)
    found += derived.problems(differing)
    _tell(found, differing, as_json)


def static_problems() -> Iterator[Problem]:
    """What can be seen without a database."""
    known = declared()
    yield from declarations.problems(known)
    yield from topology.problems(known.workers)
    yield from pages.problems(known.workers)


def _days(start: str | None, end: str | None) -> tuple[datetime, datetime]:
    """Whole days in UTC."""
    last = _midnight(moment(end)) if end else _midnight(datetime.now(UTC))
    first = _midnight(moment(start)) if start else last - timedelta(days=DEEP_DAYS)
    if first >= last:
        raise typer.BadParameter("--from must be before --to.")
    days = (last - first).days
    if days > DEEP_DAYS_MAX:
        raise OperatorError(f"These are {days:,} days, and {DEEP_DAYS_MAX:,} at most: say a part.")
    return first, last


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _look_at_the_database(
    found: list[Problem], deep: tuple[datetime, datetime] | None
) -> derived.Found:
    """Add what is wrong there; returns what a deep check of these days finds."""
    try:
        of_schema = _database_problems()
        found += of_schema
        if deep:
            return _differing(*deep)
        if not of_schema:  # what is counted is in the tables that it names
            found += _count_problems()
    except (DatabaseUnavailable, MigrationFailed) as error:
        found.append(Problem("database", "connection", str(error)))
    return {}


def _database_problems() -> list[Problem]:
    """The schema of DATABASE_URL as it is; the local database is brought up to date first."""
    with local_url() as url:
        return list(schema.problems(url))


def _count_problems() -> list[Problem]:
    with (
        local_url(migrated=False) as url,
        closing(database_at(url)) as db,
        busy("counting events"),
    ):
        today = _midnight(datetime.now(UTC))
        return list(derived.count_problems(db, today, DEEP_DAYS))


def _differing(start: datetime, end: datetime) -> derived.Found:
    with (
        local_url(migrated=False) as url,
        closing(database_at(url)) as db,
        progress() as bar,
    ):
        task = bar.add_task("days", total=(end - start).days)
        now = datetime.now(UTC)
        return derived.differences(db, start, end, now, lambda days: bar.advance(task, days))


def _tell(found: list[Problem], differing: derived.Found, as_json: bool) -> None:
    if as_json:
        told: dict[str, Any] = {"problems": [asdict(one) for one in found]}
        print_json(told | {"differences": []} | differing)
    elif found:
        print_table("problems", [asdict(one) for one in found])
        for name, rows in differing.items():
            if rows:
                print_table(name.replace("_", " "), rows[:SHOWN_MAX])
    else:
        console.print("no problem found", style="green")
    if found:
        raise typer.Exit(1)
