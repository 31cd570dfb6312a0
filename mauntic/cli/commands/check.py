"""`mauntic check`: list every problem; exit with 1 if there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from mauntic.checks import (
    Problem,
    campaigns,
    declarations,
    deliveries,
    derived,
    journeys,
    pages,
    schema,
    segments,
    topology,
)
from mauntic.cli.ui.options import AsJson
from mauntic.cli.ui.output import busy, console, print_json, print_table, progress
from mauntic.cli.ui.time_args import moment
from mauntic.database.migrations import MigrationFailed
from mauntic.database.url import DatabaseUnavailable
from mauntic.errors import OperatorError
from mauntic.operations.connection import database_at, local_url
from mauntic.operations.worker_catalog import declared

DEEP_DAYS = 35
DEEP_DAYS_MAX = 4_000  # eleven years, like a backfill of hours
SHOWN_MAX = 50


def check(
    deep: Annotated[bool, typer.Option("--deep", help="Also recount every derived table.")] = False,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="DAY", help="First day (default: 35 days ago)."),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option("--to", metavar="DAY", help="End, exclusive (default: today)."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Skip the database.")] = False,
    as_json: AsJson = False,
) -> None:
    """List every problem of jobs, messages, wrangler.toml, queues, docs and database.

    Compares the counts of the daily rollups of 35 days with their events. --deep recounts what the
    jobs derive: rollups and campaigns of 35 days, the usage of months that ended in them, every
    score, the members of every segment, and duplicate events. Each problem names the command that
    corrects it; run the commands in the order of the list.

    Examples:

      mauntic check --offline

      DATABASE_URL=… mauntic check --deep --from 2026-03-01 --to 2026-04-01
    """
    if offline and deep:
        raise typer.BadParameter("--deep needs the database, which --offline skips.")
    if (start or end) and not deep:
        raise typer.BadParameter("--from and --to need --deep: they select its days.")
    bounds = _days(start, end)
    found = list(static_problems())
    differing: derived.Found = {}
    if not offline:
        differing = _check_database(found, bounds if deep else None)
    found += derived.problems(differing)
    _print(found, differing, as_json)


def static_problems() -> Iterator[Problem]:
    """Find the problems that need no database."""
    catalog = declared()
    yield from declarations.problems(catalog)
    yield from topology.problems(catalog.all_workers)
    yield from pages.problems(catalog.all_workers)


def _days(start: str | None, end: str | None) -> tuple[datetime, datetime]:
    """Parse the options as whole days in UTC."""
    last = _midnight(moment(end)) if end else _midnight(datetime.now(UTC))
    first = _midnight(moment(start)) if start else last - timedelta(days=DEEP_DAYS)
    if first >= last:
        raise typer.BadParameter("--from must be before --to.")
    days = (last - first).days
    if days > DEEP_DAYS_MAX:
        raise OperatorError(f"These are {days:,} days; at most {DEEP_DAYS_MAX:,} are allowed.")
    return first, last


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _check_database(found: list[Problem], deep: tuple[datetime, datetime] | None) -> derived.Found:
    """Add the database's problems to `found`; return the differences of a deep check."""
    try:
        of_schema = _database_problems()
        found += of_schema
        if deep:
            found += _segment_problems()
            return _differing(*deep)
        if not of_schema:  # counting needs the tables
            found += _count_problems()
    except (DatabaseUnavailable, MigrationFailed) as error:
        found.append(Problem("database", "connection", str(error)))
    return {}


def _database_problems() -> list[Problem]:
    """Check the schema of DATABASE_URL; the local database is migrated first."""
    with local_url() as url:
        return list(schema.problems(url))


def _count_problems() -> list[Problem]:
    with (
        local_url(migrated=False) as url,
        closing(database_at(url)) as db,
        busy("counting events, reading provider configs"),
    ):
        today = _midnight(datetime.now(UTC))
        counts = list(derived.count_problems(db, today, DEEP_DAYS))
        return [
            *counts,
            *deliveries.problems(db, os.environ),
            *campaigns.problems(db),
            *journeys.problems(db),
        ]


def _segment_problems() -> list[Problem]:
    with (
        local_url(migrated=False) as url,
        closing(database_at(url)) as db,
        busy("evaluating segments"),
    ):
        return list(segments.deep_problems(db))


def _differing(start: datetime, end: datetime) -> derived.Found:
    with (
        local_url(migrated=False) as url,
        closing(database_at(url)) as db,
        progress() as bar,
    ):
        task = bar.add_task("days", total=(end - start).days)
        now = datetime.now(UTC)
        return derived.differences(db, start, end, now, lambda days: bar.advance(task, days))


def _print(found: list[Problem], differing: derived.Found, as_json: bool) -> None:
    if as_json:
        result: dict[str, Any] = {"problems": [asdict(problem) for problem in found]}
        print_json(result | {"differences": []} | differing)
    elif found:
        print_table("problems", [asdict(problem) for problem in found])
        for name, rows in differing.items():
            if rows:
                print_table(name.replace("_", " "), rows[:SHOWN_MAX])
    else:
        console.print("no problem found", style="green")
    if found:
        raise typer.Exit(1)
