"""The shadow run: save the old scheduler's rows before the new jobs replace them, and compare
both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import quote

from analytics.jobs.generate_daily_reports import RECOUNTED_BEFORE
from analytics.store.statements import DAILY, HOURLY
from mauntic.adopt.catalogue import template
from mauntic.cutover.findings import midnight
from mauntic.database.url import DatabaseUnavailable, DatabaseUrl
from mauntic.errors import OperatorError
from mauntic.operations.connection import database_at
from mauntic.operations.statements import SQL
from mauntic.project.private_files import write_private
from mauntic.project.programs import ROOT
from shared.errors import DatabaseError
from shared.ports import Database, Row

KEPT = ROOT / ".local" / "cutover"

AGGREGATES, STATS = "event_aggregates", "campaign_daily_stats"
OLD_SCHEMA = "analytics"
# The jobs whose rows the old scheduler also wrote.
WRITERS = (HOURLY, DAILY)
LACKING = ("3F000", "42P01", "42703")  # a missing schema, table or column
KEYS = {"campaign_id", "organization_id", "date", "updated_at"}


@dataclass(frozen=True)
class Days:
    """A range of days without `end`."""

    start: date
    end: date

    def __str__(self) -> str:
        return f"{self.start}..{self.end}"


OldRows = dict[str, list[dict[str, object]]]


@dataclass(frozen=True)
class OldRowsFile:
    """The file with the old rows of some days of one database, named by its URL."""

    url: str
    days: Days

    @property
    def database(self) -> str:
        return DatabaseUrl.parse(self.url).address

    @property
    def file(self) -> Path:
        database = quote(self.database, safe=":")
        return KEPT / f"{database}-{OLD_SCHEMA}-{self.days}.json"

    def write(self, rows: OldRows) -> None:
        """Write the rows atomically; replace what was saved before."""
        content = {"database": self.database, "schema": OLD_SCHEMA, "days": str(self.days)}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_private(self.file, json.dumps(content | {"rows": rows}, default=str))

    def read(self) -> OldRows:
        """Return the rows that were written last. Raise FileNotFoundError if there are none."""
        rows: OldRows = json.loads(self.file.read_text(encoding="utf-8"))["rows"]
        return rows


def keep(db: Database, kept: OldRowsFile) -> OldRows:
    """Return the rows of the old scheduler. They are read and saved as long as no run of the new
    jobs may have written such rows; afterwards they come from the file. Raise FileNotFoundError if
    none were saved in time.
    """
    rows = read_old(db, OLD_SCHEMA, kept.days)
    if not has_begun(db, kept.days):  # after the rows were read, because a run may begin in between
        kept.write(rows)
    return kept.read()


def has_begun(db: Database, days: Days) -> bool:
    """Return whether a run has begun that may write rows of these days. A run of a later day also
    sets earlier days, for late events.
    """
    [row] = db.rows(
        SQL["cutover_begun"],
        job_types=list(WRITERS),
        start=midnight(days.start),
        end=midnight(days.end) + RECOUNTED_BEFORE,
    )
    return bool(row["has_begun"])


def read_old_url(url: str, schema: str, days: Days) -> OldRows:
    """Return the rows of a schema in another database; raise OperatorError for an invalid URL."""
    try:
        DatabaseUrl.parse(url)
    except DatabaseUnavailable as error:
        raise OperatorError(str(error).replace("DATABASE_URL", "DATABASE_URL_OLD")) from None
    with closing(database_at(url)) as db:
        return read_copy(db, schema, days)


def read_copy(db: Database, schema: str, days: Days) -> OldRows:
    """Return the rows of the given schema; raise OperatorError if it has no such tables."""
    try:
        return read_old(db, schema, days)
    except DatabaseError as error:
        if error.sqlstate not in LACKING:
            raise
        raise OperatorError(
            f"No schema {schema} with {AGGREGATES} and {STATS} is in that database: say with"
            " --old-schema where the old rows are."
        ) from None


def read_old(db: Database, schema: str, days: Days) -> OldRows:
    """Return the rows of both tables in a schema; raise OperatorError for an invalid name."""
    if not schema.replace("_", "a").isalnum() or not schema.islower():
        raise OperatorError(f"{schema} is not a valid schema name.")
    return {
        table: [
            row["content"]
            for row in db.rows(
                template("old_rows", schema=schema, table=table), start=days.start, end=days.end
            )
        ]
        for table in (AGGREGATES, STATS)
    }


def differences(db: Database, old: OldRows, days: Days) -> Sequence[Row]:
    """Return the differences between old and new rows, with the values counted from the events."""
    bounds = {"start": days.start, "end": days.end}
    figures = sorted({name for row in old[STATS] for name in row} - KEYS)
    return [
        *db.rows(SQL["cutover_compare_aggregates"], old=json.dumps(old[AGGREGATES]), **bounds),
        *db.rows(
            SQL["cutover_compare_stats"], old=json.dumps(old[STATS]), figures=figures, **bounds
        ),
    ]
