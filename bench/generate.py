"""Events from a seed: organizations of different sizes, and sessions that produce events."""

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
EVENTS_PER_SESSION = 2.56  # the sum of the steps of `fill_steps`; two percent more are generated
WRITERS = 2
SALTS = 1_000  # number of salts per seed

TABLE = "analytics.contact_activity"


@dataclass(frozen=True)
class Spread:
    """A number of events from `start`: over whole days with their curve, or evenly within a shorter
    time.

    With `fills`, events of earlier spreads in this time count: both together are `events`.
    """

    events: int
    start: datetime
    length: timedelta
    fills: bool = False

    @property
    def sessions(self) -> int:
        """Return the number of sessions that produce at least this many events."""
        return round(self.events / EVENTS_PER_SESSION * 1.02) + 100

    def halves(self) -> list[Spread]:
        """One per writer, so that events are stored approximately in the order of their time."""
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

    `largest_share` is the share of the largest organization, if not by Zipf's law.
    """
    parts = [half for spread in spreads for half in spread.halves()]
    with closing(connect(url)) as db:
        prepare(db, _contacts(spreads), seed)
        if largest_share is not None:
            db.run(inlined("enlarge", share=largest_share, contacts=_contacts(spreads)))
        with bare(db, url, TABLE):
            numbered = [(part, number) for number, part in enumerate(parts)]
            at_once(url, [_events(*spread, seed) for spread in numbered if not spread[0].fills])
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
    """Return the number of contacts for which each gets an e-mail a week."""
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
    """Load without indexes, which is faster for five million rows; they are built once afterwards,
    concurrently.

    The triggers that request scores are off in the meantime: their work is not measured here.
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
    """Return the block with its parameters as constants, so that the planner folds them into
    expressions.
    """
    statement = SQL[name]
    for key in sorted(values, key=len, reverse=True):
        statement = statement.replace(f":{key}", str(values[key]))
    return statement
