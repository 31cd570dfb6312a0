"""A tick after an outage: milliseconds and statements."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from analytics.store.statements import HOURLY
from analytics.worker import WORKER
from bench.measure import ROUNDS, Result, stopwatch
from bench.world import World
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.ports import Row
from shared.tick.dispatch import dispatch
from tests import fakes

TICK = datetime(2026, 3, 20, 12, tzinfo=UTC)


class Counted(Postgres):
    """A database that counts its statements."""

    statements = 0

    def rows(self, sql: str, **parameters: Any) -> list[Row]:
        self.statements += 1
        return super().rows(sql, **parameters)

    def execute(self, sql: str, **parameters: Any) -> int:
        self.statements += 1
        return super().execute(sql, **parameters)


def run(world: World) -> list[Result]:
    """Compare 48 missed windows with one, in the host's Python."""
    url = world.database("ticks", [])
    single = [_tick(url, missed=1) for _ in range(ROUNDS)]
    many = [_tick(url, missed=48) for _ in range(ROUNDS)]
    note = f"{many[0][1]} statements; with one window {single[0][1]}"
    return [
        Result("tick, 48 windows / 1", [ms for ms, _ in many], [ms for ms, _ in single], note=note)
    ]


def _tick(url: str, missed: int) -> tuple[float, int]:
    """Run a tick that finds `missed` hours missing; return milliseconds and statements."""
    with closing(connect(url)) as db:
        db.run("truncate ops.job_runs, ops.schedules")
        since = TICK - missed * timedelta(hours=1)
        db.run(
            "insert into ops.schedules (job_type, starts_at, recorded_until)"
            " values (:job, :since, :since)",
            job=HOURLY,
            since=since,
        )
    fake = fakes.World(url, now=TICK, connect=connect)
    counted = Counted(lambda: connect(url))
    ports = replace(fake.ports(), db=counted)
    duration_ms = stopwatch(lambda: asyncio.run(dispatch(WORKER, "0 * * * *", TICK, ports)))
    sent = [
        body
        for body in (message.get("body", message) for message in fake.queue.sent)
        if body["type"] == HOURLY
    ]
    if len(sent) != missed:
        raise RuntimeError(f"the tick sent {len(sent)} windows of {missed}")
    return duration_ms, counted.statements
