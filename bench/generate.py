"""Events from a seed: organizations of skewed sizes, and sessions that leave events behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mauntic.database.url import connect
from shared.sql.blocks import SqlBlocks

SQL = SqlBlocks(Path(__file__).parent / "sql")

SEED = 20260310
ORGANIZATIONS = 200
EVENTS_PER_SESSION = (
    2.56  # what the steps of `fill_steps` add up to; two in a hundred more are drawn
)
WRITERS = 2
SALTS = 1_000  # a seed has so many

TABLE = "analytics.contact_activity"


@dataclass(frozen=True)
class Spread:
    """So many events from `start` on: over whole days with their curve, or evenly within less.

    One that `fills` counts what earlier spreads have put there: both together are `events`.
    """

    events: int
    start: datetime
    length: timedelta
    fills: bool = False

    @property
    def sessions(self) -> int:
        """As many sessions as it takes to leave that many events behind."""
        return round(self.events / EVENTS_PER_SESSION * 1.02) + 100

    def halves(self) -> list[Spread]:
        """One for each writer, so that events lie in the table in about the order of their time."""
        if self.length < timedelta(days=2):
            return [self]
        first = timedelta(days=self.length.days // 2)
        events = round(self.events * (first / self.length))
        return [
            Spread(events, self.start, first),
            Spread(self.events - events, self.start + first, self.length - first),
        ]


def fill(
    url: str, spreads: Sequence[Spread], seed: int = SEED, largest_share: float | None = None
) -> None:
    """Load the spreads into an empty, migrated database, and leave it as a vacuum would.

    `largest_share` is that of the largest organization, if not by Zipf's law.
    """
    parts = [half for spread in spreads for half in spread.halves()]
    with closing(connect(url)) as db:
        prepare(db, _contacts(spreads), seed)
        if largest_share is not None:
            db.run(inlined("enlarge", share=largest_share, contacts=_contacts(spreads)))
        with bare(db, url, TABLE):
            numbered = [(part, number) for number, part in enumerate(parts)]
            at_once(url, [_events(*one, seed) for one in numbered if not one[0].fills])
            for part, number in numbered:
                if part.fills:
                    run(url, _events(_missing(db, part), number, seed))
        db.run(f"vacuum (analyze) {TABLE}")


def _missing(db: Any, part: Spread) -> Spread:
    [[present]] = db.run(
        f"select count(*) from {TABLE} where occurred_at >= :start and occurred_at < :until",
        start=part.start,
        until=part.start + part.length,
    )
    return replace(part, events=part.events - present)


def _contacts(spreads: Sequence[Spread]) -> int:
    """As many contacts as it takes for each to get a mail a week."""
    busiest = max(spreads, key=lambda spread: spread.sessions)
    return round(busiest.sessions / (busiest.length / timedelta(days=7)))


def prepare(db: Any, contacts: int, seed: int) -> None:
    db.run("drop schema if exists bench cascade")
    db.run(SQL["prepare"])
    values = {"organizations": ORGANIZATIONS, "contacts": contacts, "salt": seed * SALTS}
    db.run(inlined("fill_slots", **values))
    db.run(SQL["fill_steps"])
    db.run(SQL["fill_hours"])
    for table in ("slots", "steps", "hours"):
        db.run(f"analyze bench.{table}")


@contextmanager
def bare(db: Any, url: str, table: str) -> Iterator[None]:
    """Five million rows go faster into a heap alone; the indexes are built once, side by side.

    The triggers that ask for scores are off meanwhile: what they write is not measured here.
    """
    key = f"{table.partition('.')[2]}_pkey"
    db.run(f"alter table {table} disable trigger user")
    indexes = db.run(
        "select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index"
        f" where indrelid = '{table}'::regclass and not indisprimary"
    )
    db.run(f"alter table {table} drop constraint {key}")
    for name, _ in indexes:
        db.run(f"drop index {name}")
    yield
    db.run(f"analyze {table}")
    at_once(url, [f"create unique index {key} on {table} (id)", *(t for _, t in indexes)])
    db.run(f"alter table {table} add primary key using index {key}")
    db.run(f"alter table {table} enable trigger user")


def _events(part: Spread, number: int, seed: int) -> str:
    return inlined(
        "add_events",
        salt=seed * SALTS + (number + 1) * 20,
        world=seed * SALTS,
        first=0,
        until=part.sessions,
        start=f"'{part.start.isoformat()}'",
        span_s=f"double precision '{part.length.total_seconds()}'",
        count=part.events,
    )


def at_once(url: str, statements: Sequence[str]) -> None:
    with ThreadPoolExecutor(WRITERS) as writers:
        for done in [writers.submit(run, url, statement) for statement in statements]:
            done.result()


def run(url: str, statement: str) -> None:
    with closing(connect(url)) as db:
        db.run("set max_parallel_workers_per_gather = 0; set jit = off; set work_mem = '1GB'")
        db.run("set max_parallel_maintenance_workers = 0; set maintenance_work_mem = '1GB'")
        db.run(statement)


def inlined(name: str, **values: object) -> str:
    """The block with its parameters as constants: the planner folds them into every draw."""
    statement = SQL[name]
    for key in sorted(values, key=len, reverse=True):
        statement = statement.replace(f":{key}", str(values[key]))
    return statement
