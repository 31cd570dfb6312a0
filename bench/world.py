"""The environment of the benchmarks: one temporary server, its databases, and the local runtime."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from analytics.store import statements
from analytics.store.hours import Hour, book_hour
from analytics.worker import WORKER as ANALYTICS
from bench import generate, people
from bench.generate import Spread
from mauntic.database.embedded.server import Server, temporary_server
from mauntic.database.migrations import migrate
from mauntic.database.url import connect, with_database
from mauntic.local.control_client import Control, LocalRuntime
from mauntic.operations.metric_summary import name_columns
from shared.adapters.postgres.client import Postgres
from shared.jobs import Worker
from shared.messages import Message
from shared.sql.blocks import SqlBlocks
from shared.windows import Window
from tools.machine import processor

SQL = SqlBlocks(Path(__file__).parent / "sql")

SETTINGS = {
    "shared_buffers": "2GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",  # it would run during only one of the two; its work is done beforehand
}
RUN_TIMEOUT_S = 900  # a busy machine needs time

MONTH_START = datetime(2026, 3, 1, tzinfo=UTC)
MONTH = Window(MONTH_START, datetime(2026, 4, 1, tzinfo=UTC))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BUSY_DAY = Window(MONTH_START + 14 * DAY, MONTH_START + 15 * DAY)
BUSY_HOUR = Window(BUSY_DAY.start + 14 * HOUR, BUSY_DAY.start + 15 * HOUR)


@dataclass
class World:
    """A server for measurements. `scale` multiplies every number of events."""

    server: Server
    scale: float = 1.0
    _month: str = field(default="", init=False)
    _people: str = field(default="", init=False)

    def events(self, count: int) -> int:
        return round(count * self.scale)

    def month(self) -> str:
        """The URL of 5 million events in 30 days; one hour has exactly 100,000."""
        if not self._month:
            spreads = month_of(self.events(5_000_000), self.events(100_000))
            self._month = self.database("month", spreads)
        return self._month

    def database(
        self, name: str, spreads: Sequence[Spread], largest_share: float | None = None
    ) -> str:
        """Return the URL of a new database with the schema and these events."""
        url = self.empty(name)
        total = sum(spread.events for spread in spreads)
        with timed(f"{name}: {total:,} events"):
            if spreads:
                generate.fill(url, spreads, largest_share=largest_share)
        with closing(connect(url)) as db:
            db.run("create schema if not exists bench")
            db.run(SQL["copies"])
        return url

    def empty(self, name: str) -> str:
        """Return the URL of a new database with the empty schema."""
        with closing(connect(with_database(self.server.url, "postgres"))) as admin:
            admin.run(f"drop database if exists {name} with (force)")
            admin.run(f"create database {name}")
        url = with_database(self.server.url, name)
        migrate(url)
        return url

    def people(self) -> str:
        """The URL of a million contacts, three million signals and a million visits."""
        if not self._people:
            self._people = self.empty("people")
            contacts = self.events(1_000_000)
            with timed(f"people: {contacts:,} contacts"):
                people.fill_people(self._people, contacts, people.END)
        return self._people


def month_of(events: int, in_the_hour: int) -> list[Spread]:
    """Return 30 days whose busy hour is filled up to `in_the_hour` events."""
    first = Spread(events - in_the_hour, MONTH_START, 30 * DAY)
    return [first, Spread(in_the_hour, BUSY_HOUR.start, HOUR, fills=True)]


@contextmanager
def world(scale: float) -> Iterator[World]:
    """Yield a server for all benchmarks."""
    with temporary_server(SETTINGS) as server:
        yield World(server, scale)


@contextmanager
def timed(label: str) -> Iterator[None]:
    """Print the duration."""
    started = time.monotonic()
    yield
    Console().print(f"{label} in {time.monotonic() - started:.0f} s", style="dim")


class Jobs:
    """A worker on the local runtime, over one database."""

    def __init__(self, control: Control, url: str, worker: Worker) -> None:
        self.control = control
        self.queue = worker.main_queue.name
        self.db = connect(url)

    def run(self, message: Message) -> float:
        """Return the milliseconds from the first delivery to the last ack, without waits for the
        broker.

        The messages' points contain their durations. A split window has several messages, and time
        in which several of them run counts once.
        """
        points = self.settled([message])
        if sum(point["rows_read"] for point in points) == 0:
            raise RuntimeError(f"{message.type} found no work: {points}")
        return _in_hand_ms([(point["at"] - point["duration_ms"], point["at"]) for point in points])

    def settled(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """Return the metric points of the messages and of their shards: all acknowledged."""
        since = datetime.now(UTC)
        self.control.send(self.queue, [message.body() for message in messages])
        return self.points_since(since)

    def points_since(self, since: datetime) -> list[dict[str, Any]]:
        """Wait until the queue is done; every point since then must be an ack."""
        if not self.control.wait_idle([self.queue], timeout_s=RUN_TIMEOUT_S):
            raise RuntimeError(f"{self.queue} is not done after {RUN_TIMEOUT_S} s")
        points = [
            name_columns(point) | {"at": point["at"]} for point in self.control.metrics(since)
        ]
        wrong = [point for point in points if point["status"] != "ack"]
        if wrong:
            raise RuntimeError(f"not everything was acked: {wrong[:3]}")
        return points

    def memory_mb(self) -> float:
        """The worker's WebAssembly memory, which never shrinks, so this is its peak."""
        [memory] = self.control.memory()["workers"].values()
        return float(memory["wasmBytes"]) / 1_048_576


@contextmanager
def jobs(url: str, worker: Worker = ANALYTICS) -> Iterator[Jobs]:
    """Yield a running, warm worker."""
    with LocalRuntime(url, envs=[worker.env]) as runtime:
        found = Jobs(runtime.control, url, worker)
        with closing(found.db):
            yield found


def book_hours(url: str, until: datetime, hours: int) -> None:
    """Book the hours before `until`, oldest first, and record them in the ledger, as their ticks
    would.
    """
    with closing(Postgres(lambda: connect(url))) as db:
        for back in range(hours, 0, -1):
            with db.transaction():
                hour = Window(until - back * HOUR, until - (back - 1) * HOUR)
                book_hour(db, Hour(hour))
                db.execute(
                    SQL["note_hour"], job_type=statements.HOURLY, start=hour.start, end=hour.end
                )
    with closing(connect(url)) as connection:
        connection.run("vacuum (analyze) analytics.hourly_cells")
        connection.run("vacuum (analyze) analytics.event_aggregates")
        connection.run("vacuum analytics.hourly_work, analytics.booking_turns")


def forget_hour(db: Any, hour: Window) -> None:
    """Reset the hour to its state before it was booked."""
    db.run("delete from analytics.hourly_cells where hour = :hour", hour=hour.start)
    db.run("delete from analytics.event_aggregates where date = :date", date=hour.start.date())


def plain(db: Any, block: str, window: Window, table: str) -> float:
    """Run the reference statement into an empty table, in milliseconds."""
    db.run(f"truncate bench.{table}")
    db.run("set timezone = 'UTC'; set work_mem = '64MB'; set jit = off")
    started = time.perf_counter()
    db.run(SQL[block], start=window.start, end=window.end)
    return (time.perf_counter() - started) * 1_000


def machine(server: Server) -> dict[str, Any]:
    """Return a description of machine and server."""
    with closing(connect(server.url)) as db:
        [[version]] = db.run("show server_version")
    return {
        "processors": os.cpu_count(),
        "processor": processor(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": platform.platform(terse=True),
        "postgres": version,
        "settings": SETTINGS,
        "load": round(os.getloadavg()[0], 1),
    }


def _in_hand_ms(spans: list[tuple[float, float]]) -> float:
    total, until = 0.0, 0.0
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
