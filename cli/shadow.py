"""The shadow run: the old scheduler's rows, kept before ours are written, then compared."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cli.adopt.catalogue import template
from cli.output import Refusal, Rows
from local.database_url import connect
from shared.adapters.postgres import Postgres
from shared.ports import Database
from shared.sql_blocks import SqlBlocks

SQL = SqlBlocks(Path(__file__).parent / "sql")
KEPT = Path(__file__).parent.parent / ".local" / "cutover"

AGGREGATES, STATS = "event_aggregates", "campaign_daily_stats"
KEYS = {"campaign_id", "organization_id", "date", "updated_at"}


@dataclass(frozen=True)
class Days:
    """Calendar days, `end` not among them."""

    start: date
    end: date

    def __str__(self) -> str:
        return f"{self.start}..{self.end}"


OldRows = dict[str, list[dict[str, object]]]


def kept_file(days: Days, folder: Path = KEPT) -> Path:
    return folder / f"old-{days}.json"


def keep(db: Database, days: Days, folder: Path = KEPT) -> int:
    """Write the rows as they are now to a file, once; how many there are."""
    file = kept_file(days, folder)
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(".new")
        beside.write_text(
            json.dumps(read_old(db, "analytics", days), default=str), encoding="utf-8"
        )
        beside.replace(file)
    return sum(map(len, kept(days, folder).values()))


def kept(days: Days, folder: Path = KEPT) -> OldRows:
    """What `keep` wrote. Raises FileNotFoundError."""
    rows: OldRows = json.loads(kept_file(days, folder).read_text(encoding="utf-8"))
    return rows


def read_old_url(url: str, schema: str, days: Days) -> OldRows:
    """The rows of a schema of another database."""
    with closing(Postgres(lambda: connect(url))) as db:
        return read_old(db, schema, days)


def read_old(db: Database, schema: str, days: Days) -> OldRows:
    """The rows of both tables in a schema; Refusal for what is no schema's name."""
    if not schema.replace("_", "a").isalnum() or not schema.islower():
        raise Refusal(f"{schema} is no name of a schema that can be read.")
    return {
        table: [
            row["content"]
            for row in db.rows(
                template("old_rows", schema=schema, table=table), start=days.start, end=days.end
            )
        ]
        for table in (AGGREGATES, STATS)
    }


def differences(db: Database, old: OldRows, days: Days) -> Rows:
    """Where old and ours differ, with what the events themselves say."""
    bounds = {"start": days.start, "end": days.end}
    figures = sorted({name for row in old[STATS] for name in row} - KEYS)
    return [
        *db.rows(SQL["cutover_compare_aggregates"], old=json.dumps(old[AGGREGATES]), **bounds),
        *db.rows(
            SQL["cutover_compare_stats"], old=json.dumps(old[STATS]), figures=figures, **bounds
        ),
    ]
