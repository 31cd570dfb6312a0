"""The cost of the triggers for the platform's writers: commits, waits, and saving a setting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from bench.measure import Result, alternate, stopwatch
from bench.world import SETTINGS, SQL, World, timed
from mauntic.database.embedded.server import Server
from mauntic.database.migrations import migrate
from mauntic.database.url import connect, with_database
from scoring.store import statements
from scoring.store.fold import fold_changes
from shared.adapters.postgres.client import Postgres
from shared.ledger.shards import KeyRange

INGESTERS, TRANSACTIONS, INSERTS = 4, 250, 20
CONTACTS = 2_000
# Two of six types do not count for a score, so their triggers append nothing.
KINDS = (
    "email_sent", "email_delivered", "email_opened", "email_clicked", "page_visited",
    "form_submitted",
)  # fmt: skip
ORGANIZATION = UUID(int=0xB)
# The share of the commits without triggers: 0.6, and 0.8 if each commit waits for the disk.
SLOWDOWN_MAX, SLOWDOWN_DURABLE_MAX = 1 / 0.6, 1 / 0.8
WAIT_MAX_MS, SAVING_MAX_MS = 50.0, 100.0
LARGE = 1_000_000


def run(world: World) -> list[Result]:
    """Compare each with the same without triggers in the same run, or with its bound."""
    results = [_commits(world.empty("ingest"), "not durable", SLOWDOWN_MAX)]
    with _durable() as url:
        results.append(_commits(url, "each commit on the disk", SLOWDOWN_DURABLE_MAX))
    results.append(_insert_during_a_shard(world))
    results.append(_saving(world))
    return results


def _commits(url: str, label: str, at_most: float) -> Result:
    with ProcessPoolExecutor(INGESTERS) as pool, closing(connect(url)) as db:
        measured = alternate({
            "bare": lambda: _ingest_ms(pool, db, url, "disable"),
            "ours": lambda: _ingest_ms(pool, db, url, "enable"),
        }, rounds=5)  # fmt: skip
    commits = INGESTERS * TRANSACTIONS
    rates = {name: commits * 1_000 / sorted(ms)[len(ms) // 2] for name, ms in measured.items()}
    note = f"{rates['ours']:,.0f} commits a second with triggers, {rates['bare']:,.0f} without"
    name = f"{INGESTERS} ingesters, {INSERTS} inserts a transaction, {label}"
    return Result(name, measured["ours"], measured["bare"], at_most, note)


def _ingest_ms(pool: ProcessPoolExecutor, db: Any, url: str, triggers: str) -> float:
    """Run all ingesters concurrently until the last is done. A deadlock would raise an error."""
    db.run("truncate analytics.contact_activity, crm.contact_changes")
    db.run(f"alter table analytics.contact_activity {triggers} trigger user")
    work = partial(ingest, url)
    return stopwatch(lambda: list(pool.map(work, range(INGESTERS))))


def ingest(url: str, seed: int) -> None:
    """Run one ingester: single-row inserts, each a round trip, in transactions."""
    draw = Random(seed)
    with closing(connect(url)) as db:
        insert = db.prepare(SQL["ingest_one"])
        for _ in range(TRANSACTIONS):
            db.run("begin")
            for _ in range(INSERTS):
                insert.run(
                    organization_id=ORGANIZATION,
                    contact_id=UUID(int=draw.randrange(CONTACTS)),
                    event_type=draw.choice(KINDS),
                )
            db.run("commit")


@contextmanager
def _durable() -> Iterator[str]:
    """Yield a database on a server whose commits wait for the disk."""
    with (
        TemporaryDirectory() as folder,
        Server(Path(folder) / "durable", durable=True, settings=SETTINGS) as server,
    ):
        with closing(connect(with_database(server.url, "postgres"))) as admin:
            admin.run("create database ingest")
        url = with_database(server.url, "ingest")
        migrate(url)
        yield url


def _insert_during_a_shard(world: World) -> Result:
    """Return the longest single insert while a transaction folds and scores a shard's contacts."""
    url = world.empty("shard")
    with closing(connect(url)) as db:
        db.run(
            SQL["one_organization"], organization_id=ORGANIZATION, contacts=statements.SHARD_ROWS
        )
        contacts = [id_ for [id_] in db.run(SQL["some_ids"], count=1_000)]
        waits: list[float] = []
        with _in_the_background(lambda: _recompute(url)) as is_running:
            insert = db.prepare(SQL["ingest_one"])
            for contact_id in contacts * 100:
                values = {"organization_id": ORGANIZATION, "contact_id": contact_id}
                waits.append(stopwatch(partial(insert.run, **values, event_type="email_opened")))
                if not is_running():
                    break
    name = f"the longest of {len(waits):,} inserts during a shard of {statements.SHARD_ROWS:,}"
    return Result(name, [max(waits)], [WAIT_MAX_MS], 1.0, "reference: what is allowed")


def _recompute(url: str) -> None:
    with closing(Postgres(lambda: connect(url))) as db, db.transaction():
        now = datetime.now(UTC)
        fold_changes(db, now)
        scored = statements.recompute_backlog(db, KeyRange(), now)
    if scored.rows_written != statements.SHARD_ROWS:
        raise RuntimeError(f"{scored} is not a shard of {statements.SHARD_ROWS}")


@contextmanager
def _in_the_background(work: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    failures: list[BaseException] = []

    def run_it() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run_it)
    thread.start()
    yield thread.is_alive
    thread.join()
    if failures:
        raise failures[0]


def _saving(world: World) -> Result:
    """Return the slowest of some settings that are saved for an organization with a full
    backlog.
    """
    url, contacts = world.empty("settings"), world.events(LARGE)
    with closing(connect(url)) as db:
        with timed(f"an organization of {contacts:,} contacts"):
            db.run("alter table crm.contacts disable trigger user")
            db.run(SQL["one_organization"], organization_id=ORGANIZATION, contacts=contacts)
            db.run("alter table crm.contacts enable trigger user")
        saved = [
            stopwatch(partial(db.run, SQL[name], organization_id=ORGANIZATION, weight=weight))
            for weight in range(5)
            for name in ("save_factor", "save_signal")
        ]
    name = f"saving a setting of {contacts:,} contacts, the slowest of {len(saved)}"
    note = "reference: what is allowed; the statement reads no contacts"
    return Result(name, [max(saved)], [SAVING_MAX_MS], 1.0, note)
