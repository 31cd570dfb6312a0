"""The analytics worker on the local runtime, with its own PostgreSQL server."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from analytics.worker import WORKER
from mauntic.database.embedded.server import Server, temporary_server
from mauntic.database.migrations import migrate
from mauntic.database.url import connect
from mauntic.local.control_client import Control, Event, LocalRuntime
from mauntic.project.programs import ROOT
from shared.ports import Row
from tests.e2e.wire import Wire
from tests.shared.toy import rows_of

QUEUE = WORKER.main_queue.name
HOURLY = "0 * * * *"
DAY = datetime(2026, 3, 10, tzinfo=UTC)
ORGANIZATION = UUID(int=1)
BUCKET = "mauntic-warmup-counters"


def hour(end: int, **fields: Any) -> dict[str, Any]:
    """Return the message for the hour of the day that ends then."""
    planned = DAY + timedelta(hours=end)
    return {"type": "analytics.aggregate-hourly", "scheduledFor": planned.isoformat()} | fields


def until(condition: Callable[[], bool], timeout_s: float = 15) -> None:
    """Wait for a condition that soon becomes true."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


class System:
    """The runtime, its database, and the log of its workers."""

    def __init__(
        self, server: Server, wire: Wire, runtime: LocalRuntime, events: list[Event]
    ) -> None:
        self.server = server
        self.wire = wire
        self.runtime = runtime
        self.events = events

    @property
    def control(self) -> Control:
        return self.runtime.control

    def rows(self, sql: str, **parameters: Any) -> list[Row]:
        with rows_of(self.server.url) as look:
            return look(sql, **parameters)

    def run(self, sql: str) -> None:
        """One or more statements without parameters."""
        with closing(connect(self.server.url)) as connection:
            connection.run(sql)

    def send(self, *bodies: Any) -> None:
        self.control.send(QUEUE, bodies)

    def settle(self, timeout_s: float = 60) -> None:
        """Wait until all queues are empty."""
        assert self.control.wait_idle(timeout_s=timeout_s), self.control.queues()

    def tick(self, at: datetime, cron: str = HOURLY) -> None:
        assert self.control.fire_cron(WORKER.name, cron, at) == {"outcome": "ok"}

    def statuses(self) -> dict[str, str]:
        """The hourly windows of `DAY`, by the hour of their start."""
        found = self.rows(
            "select window_start, status from ops.job_runs where job_type = :job"
            " and window_start >= :day and window_start < :until and shard = ''",
            job="analytics.aggregate-hourly", day=DAY, until=DAY + timedelta(days=1),
        )  # fmt: skip
        return {f"{row['window_start']:%H}": row["status"] for row in found}

    def counts(self) -> dict[str, tuple[int, int]]:
        """The day's rollups by type."""
        found = self.rows("select * from analytics.daily_aggregates where date = :d", d=DAY.date())
        return {row["event_type"]: (row["count"], row["unique_count"]) for row in found}

    def logged(self, name: str) -> list[dict[str, Any]]:
        """The fields of the workers' events of that name."""
        texts = [event["text"] for event in self.events if event.get("worker")]
        lines = [json.loads(text) for text in texts if text.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def put(self, *keys: str) -> None:
        """Objects in the bucket of warm-up counters."""
        for key in keys:
            self.control.http.put(f"/r2/{BUCKET}/{key}", content=b"{}").raise_for_status()

    def keys(self) -> list[str]:
        return [found["key"] for found in self.control.objects(BUCKET)]

    def forget(self) -> None:
        """Empty every table that a test may have written, even a failed one."""
        self.calm()
        self.settle()
        self.run(
            "truncate analytics.contact_activity, analytics.hourly_cells, analytics.locked_days,"
            " analytics.event_aggregates, analytics.campaign_daily_stats, ops.job_runs,"
            " ops.dead_letters, ops.message_failures, ops.schedules"
        )
        for key in self.keys():
            self.control.http.delete(f"/r2/{BUCKET}/{key}").raise_for_status()
        self.events.clear()

    def add_events(self, *hours: float, organization: UUID = ORGANIZATION) -> None:
        """Insert an `email_opened` at each hour of the day, of contacts in turn."""
        with closing(connect(self.server.url)) as connection:
            for n, hour in enumerate(hours):
                connection.run(
                    "insert into analytics.contact_activity"
                    " (organization_id, contact_id, event_type, occurred_at, created_at)"
                    " values (:org, :contact, 'email_opened', :at, :at)",
                    org=organization, contact=UUID(int=10 + n % 3), at=DAY + timedelta(hours=hour),
                )  # fmt: skip

    def trouble(self, sqlstate: str, hour: int | None = None) -> None:
        """Let booking (an hour) fail with that code of Postgres from now on."""
        only = f"if extract(hour from new.hour) <> {hour} then return new; end if;" if hour else ""
        self.run(
            "create or replace function pg_temp_trouble() returns trigger language plpgsql as $$"
            f" begin {only} raise exception 'trouble' using errcode = '{sqlstate}'; end $$;"
            " create or replace trigger trouble before insert on analytics.hourly_cells"
            " for each row execute function pg_temp_trouble()"
        )

    def calm(self) -> None:
        self.run("drop trigger if exists trouble on analytics.hourly_cells")


def copied_project(folder: Path) -> Path:
    """Copy everything that workers are built from, to be changed; return its wrangler.toml."""
    for name in ("shared", "workers"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "bundle.py", folder / "tools")
    return Path(shutil.copy(ROOT / "wrangler.toml", folder))


@contextmanager
def started(
    config: Path | None = None, variables: dict[str, str] | None = None, metrics: Path | None = None
) -> Iterator[System]:
    """Yield the running system."""
    events: list[Event] = []
    options: dict[str, Any] = {"config": config} if config else {}
    with temporary_server(in_memory=True) as server, Wire(server.url) as wire:
        migrate(server.url)
        with LocalRuntime(
            wire.url,
            envs=["analytics"],
            variables=variables or {},
            metrics_file=metrics,
            on_event=events.append,
            **options,
        ) as runtime:
            yield System(server, wire, runtime, events)
