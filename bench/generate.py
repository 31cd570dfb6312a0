"""Events from a seed: organisations of skewed sizes, and sessions that leave events behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from local.database_url import connect
from shared.sql_blocks import SqlBlocks

SQL = SqlBlocks(Path(__file__).parent / "sql")

SEED = 20260310
ORGANIZATIONS = 200
CONTACTS = 1_000_000
EVENTS_PER_SESSION = 2.56  # what the steps of `fill_steps` add up to; two in a hundred more are drawn
WRITERS = 2

TABLE = "analytics.contact_activity"


@dataclass(frozen=True)
class Spread:
    """So many events, evenly over the days (or within the hour) from `start`."""

    events: int
    start: datetime
    length: timedelta


def fill(url: str, spreads: Sequence[Spread], contacts: int = CONTACTS, seed: int = SEED) -> None:
    """Load the spreads into an empty, migrated database, and leave it as a vacuum would."""
    with closing(connect(url)) as db:
        _prepare(db, contacts, seed)
        with _without_indexes(db, url):
            with ThreadPoolExecutor(WRITERS) as writers:
                parts = [part for n, spread in enumerate(spreads) for part in _parts(spread, n)]
                for done in [writers.submit(_write, url, seed, *part) for part in parts]:
                    done.result()
        db.run(f"vacuum (analyze) {TABLE}")


def _prepare(db: Any, contacts: int, seed: int) -> None:
    db.run("drop schema if exists bench cascade")
    db.run(SQL["prepare"])
    world = _salt(seed, 0)
    db.run(_inlined("fill_slots", organizations=ORGANIZATIONS, contacts=contacts, salt=world))
    db.run(SQL["fill_steps"])
    db.run(SQL["fill_hours"])
    for table in ("slots", "steps", "hours"):
        db.run(f"analyze bench.{table}")


@contextmanager
def _without_indexes(db: Any, url: str) -> Iterator[None]:
    """Five million rows go faster into a heap alone; the indexes are built once, side by side."""
    primary = "alter table analytics.contact_activity add primary key (id)"
    rows = db.run(
        "select indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisprimary from pg_index"
        f" where indrelid = '{TABLE}'::regclass"
    )
    db.run(f"alter table {TABLE} drop constraint contact_activity_pkey")
    for name, _, is_primary in rows:
        if not is_primary:
            db.run(f"drop index {name}")
    yield
    statements = [primary if is_primary else text for _, text, is_primary in rows]
    db.run(f"analyze {TABLE}")
    for statement in statements:
        _run(url, statement)


def _parts(spread: Spread, number: int) -> Iterator[tuple[Spread, int, int, int, int]]:
    """The spread in as many parts as there are writers: salt, sessions from and until, events."""
    done = 0
    sessions = round(spread.events / EVENTS_PER_SESSION * 1.02 / WRITERS) + 100
    for writer in range(WRITERS):
        count = spread.events // WRITERS + (spread.events % WRITERS if writer == 0 else 0)
        yield spread, number + 1, writer * sessions, (writer + 1) * sessions, count
        done += count


def _write(url: str, seed: int, spread: Spread, salt: int, first: int, until: int, count: int) -> None:
    statement = _inlined(
        "add_events",
        salt=_salt(seed, salt),
        world=_salt(seed, 0),
        first=first,
        until=until,
        start=f"'{spread.start.isoformat()}'",
        span_s=f"double precision '{spread.length.total_seconds()}'",
        count=count,
    )
    written = _run(url, statement)
    if written != count:
        raise RuntimeError(f"the generator wrote {written} events of {count}")


def _run(url: str, statement: str) -> int:
    with closing(connect(url)) as db:
        db.run("set max_parallel_workers_per_gather = 0; set jit = off")
        db.run(statement)
        return int(db.row_count)


def _salt(seed: int, number: int) -> int:
    return seed * 1_000 + number * 20


def _inlined(name: str, **values: object) -> str:
    """The block with its parameters as constants: the planner folds them into every draw."""
    statement = SQL[name]
    for key in sorted(values, key=len, reverse=True):
        statement = statement.replace(f":{key}", str(values[key]))
    return statement
