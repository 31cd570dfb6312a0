"""The processor time that a message takes, measured on the workers in the local runtime."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from local.database_url import connect
from local.migrations import migrate
from local.postgres import temporary_server
from local.runtime import LocalRuntime
from shared.adapters.postgres import Postgres
from shared.sql_blocks import SqlBlocks

SQL = SqlBlocks(Path(__file__).parent / "sql")

CONTACTS = 2_000
WINDOWS = 100
SCORING, ANALYTICS = "mauntic-scoring-events", "mauntic-analytics-jobs"
FIRST_HOUR = datetime(2026, 3, 1, tzinfo=UTC)


def measure() -> Iterator[tuple[str, float]]:
    """Kind of message and milliseconds of CPU each takes, the local broker's included."""
    with temporary_server() as server:
        migrate(server.url)
        with closing(Postgres(lambda: connect(server.url))) as db:
            db.execute(SQL["make_contacts"], contacts=CONTACTS)
            contacts = db.rows(SQL["contacts"])
        with LocalRuntime(server.url) as runtime:
            scores = [_score(row) for row in contacts]
            _spend(runtime, SCORING, scores[:200])  # the first ones warm it up
            yield "scoring.CalculateScore, batches of 100", _spend(runtime, SCORING, scores)
            yield "scoring.CalculateScore, one at a time", _one_by_one(runtime, scores[:20])
            yield "analytics.aggregate-hourly", _spend(runtime, ANALYTICS, _windows())


def _score(row: dict[str, Any]) -> dict[str, Any]:
    data = {"organizationId": str(row["organization_id"]), "contactId": str(row["id"])}
    return {"type": "scoring.CalculateScore", "data": data}


def _windows() -> list[dict[str, Any]]:
    return [
        {
            "type": "analytics.aggregate-hourly",
            "scheduledFor": (FIRST_HOUR + timedelta(hours=number)).isoformat(),
        }
        for number in range(WINDOWS)
    ]


def _spend(runtime: LocalRuntime, queue: str, bodies: list[dict[str, Any]]) -> float:
    before = _cpu_s()
    runtime.control.send(queue, bodies)
    if not runtime.control.wait_idle([queue], timeout_s=300):
        raise TimeoutError(f"{queue} did not end")
    return (_cpu_s() - before) * 1_000 / len(bodies)


def _one_by_one(runtime: LocalRuntime, bodies: list[dict[str, Any]]) -> float:
    return sum(_spend(runtime, SCORING, [body]) for body in bodies) / len(bodies)


def _cpu_s() -> float:
    """Processor seconds that the workers' processes have used so far."""
    workerds = [
        child
        for child in psutil.Process(os.getpid()).children(recursive=True)
        if "workerd" in child.name()
    ]
    return sum(sum(one.cpu_times()[:2]) for one in workerds)
