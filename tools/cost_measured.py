"""Measure a message's processor time, log lines and bytes in the local runtime."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from mauntic.database.embedded.server import temporary_server
from mauntic.database.migrations import migrate
from mauntic.database.url import connect
from mauntic.local.control_client import LocalRuntime
from shared.adapters.postgres.client import Postgres
from shared.sql.blocks import SqlBlocks
from tools.machine import processor
from tools.usage import Usage

SQL = SqlBlocks(Path(__file__).parent / "sql")

CONTACTS = 2_000
ALONE = 20
WINDOWS = 100
SCORING, ANALYTICS = "mauntic-scoring-events", "mauntic-analytics-jobs"
FIRST_HOUR = datetime(2026, 3, 1, tzinfo=UTC)

Body = dict[str, Any]


def conditions() -> dict[str, Any]:
    """Return time and machine."""
    return {
        "measured_on": datetime.now(UTC).date().isoformat(),
        "processors": os.cpu_count(),
        "processor": processor(),
        "load": round(os.getloadavg()[0], 1),
    }


@dataclass
class Lines:
    """The workers' log."""

    texts: list[str] = field(default_factory=list)

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "log" and event.get("worker"):
            self.texts += str(event["text"]).splitlines()


def measure() -> Iterator[Usage]:
    """Measure each kind of message."""
    with temporary_server() as server:
        migrate(server.url)
        with closing(Postgres(lambda: connect(server.url))) as db:
            db.execute(SQL["make_contacts"], contacts=CONTACTS)
            contacts = db.rows(SQL["contacts"])
        lines = Lines()
        with LocalRuntime(server.url, on_event=lines) as runtime:
            scores = [_score(row) for row in contacts]
            meter = Meter(runtime, lines)
            meter.take("", SCORING, scores[:200], batch=100)  # warm-up
            yield meter.take("CalculateScore, 100 at once", SCORING, scores, batch=100)
            yield meter.take("CalculateScore, one at a time", SCORING, scores[:ALONE], batch=1)
            yield meter.take("aggregate-hourly, 10 at once", ANALYTICS, _windows(), batch=10)


def share(
    name: str, lines: Lines, used_s: float, bodies: Sequence[Body], batch: float, **counted: float
) -> Usage:
    """Return one message's share of the processor time, the log lines and the operations."""
    count, texts = len(bodies), lines.texts
    return Usage(
        name,
        batch=batch,
        cpu_ms=round(used_s * 1_000 / count, 2),
        log_lines=round(len(texts) / count, 2),
        log_bytes=round(sum(len(text.encode()) for text in texts) / count),
        message_bytes=round(sum(len(json.dumps(body)) for body in bodies) / count),
        **counted,
    )


@dataclass
class Meter:
    """Sends messages and reads their usage."""

    runtime: LocalRuntime
    lines: Lines

    def take(self, name: str, queue: str, bodies: list[Body], batch: int) -> Usage:
        """Return one message's share of the usage, sent in batches of `batch`."""
        self.lines.texts.clear()
        before_s = cpu_s()
        step = len(bodies) if batch > 1 else 1
        for first in range(0, len(bodies), step):
            self.runtime.control.send(queue, bodies[first : first + step])
            if not self.runtime.control.wait_idle([queue], timeout_s=300):
                raise TimeoutError(f"{queue} did not end")
        return share(name, self.lines, cpu_s() - before_s, bodies, batch)


def _score(row: dict[str, Any]) -> Body:
    data = {"organizationId": str(row["organization_id"]), "contactId": str(row["id"])}
    return {"type": "scoring.CalculateScore", "data": data}


def _windows() -> list[Body]:
    return [
        {
            "type": "analytics.aggregate-hourly",
            "scheduledFor": (FIRST_HOUR + timedelta(hours=number)).isoformat(),
        }
        for number in range(WINDOWS)
    ]


def cpu_s() -> float:
    """Return the processor seconds that the workers' processes have used so far."""
    workerds = [
        child
        for child in psutil.Process(os.getpid()).children(recursive=True)
        if "workerd" in child.name()
    ]
    return sum(sum(process.cpu_times()[:2]) for process in workerds)
