"""The real analytics worker with a saboteur at its edge, which causes the faults that a test plans.

The plan maps points to events, one for each pass, in order; `pass` does nothing, and after the plan
is used up nothing happens. It is kept in the interpreter, so a fault that kills the interpreter
ends the plan.
"""

import ctypes
import json
import signal
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import urlsplit
from uuid import UUID

import js
from analytics.own_entry import Default as Own

from analytics import reservations
from analytics.store import hours
from shared import retry
from shared.adapters import cloudflare
from shared.adapters.postgres.client import Postgres
from shared.adapters.r2 import BoundBucket
from shared.ledger import ledger, shards
from shared.warmup import counters
from workers import Response

R2_ERRORS = {
    "429": "Reduce your rate of simultaneous writes on the same object. (10058)",
    "500": "We encountered an internal error. Please try again. (10001)",
    "403": "Access Denied. (10003)",
}
plan = {}  # point -> the event of each pass


class CpuLimitExceeded(BaseException):
    """The platform's exception, raised as the platform does, by a signal between two
    instructions.
    """


def exceed(signum, frame):
    raise CpuLimitExceeded("Python Worker exceeded CPU time limit")


def happening(point):
    """Do what the plan contains for this pass."""
    return plan[point].pop(0) if plan.get(point) else "pass"


def strike(point):
    match happening(point):
        case "cpu":
            signal.signal(signal.SIGXCPU, exceed)
            signal.raise_signal(signal.SIGXCPU)
        case "crash":
            ctypes.string_at(2**32 - 8, 64)  # outside the memory: the interpreter crashes


class Sabotaged(Postgres):
    """A connection that fails before and after a commit."""

    def execute(self, sql, **parameters):
        if sql != "commit":
            return super().execute(sql, **parameters)
        strike("before commit")
        done = super().execute(sql, **parameters)
        strike("after commit")
        return done


cloudflare.Postgres = Sabotaged


class Bucket:
    """The real binding, whose calls fail like R2's: before they were done, or after (`lost`)."""

    def __init__(self, binding):
        self._binding = binding

    def __getattr__(self, operation):
        async def call(*arguments, **options):
            what = happening(f"r2 {operation}")
            if what in R2_ERRORS:
                await failed(operation, what)
            answer = await getattr(self._binding, operation)(*arguments, **options)
            if what == "lost":
                await failed(operation, "500")
            return None if what == "none" else answer

        return call


async def failed(operation, code):
    await js.Promise.reject(js.Error.new(f"{operation}: {R2_ERRORS[code]}"))


def same_day():
    """The time, on a day that does not end during a test."""
    return datetime.now(UTC).replace(year=2026, month=3, day=10)


class Default(Own):
    """The worker's class, over a bucket that can fail, and with URLs for the test."""

    async def queue(self, batch, env=None, ctx=None):
        self.env = SimpleNamespace(
            DB=self.env.DB,
            METRICS=self.env.METRICS,
            ANALYTICS_JOBS=self.env.ANALYTICS_JOBS,
            ANALYTICS_JOBS_DLQ=self.env.ANALYTICS_JOBS_DLQ,
            WARMUP_R2=Bucket(self.env.WARMUP_R2),
        )
        await super().queue(batch)

    async def fetch(self, request, env, ctx):
        asked = json.loads(await request.text())
        answer = {"/plan": self.take_plan, "/reserve": self.reserve, "/booked": self.booked}
        return Response.json(await answer[urlsplit(request.url).path](**asked))

    async def take_plan(
        self, points, lease_s, first_ceiling_s, write_interval_s, shard_events_target
    ):
        plan.clear()
        plan.update(points)
        ledger.LEASE = timedelta(seconds=lease_s)
        retry.FIRST_CEILING_S = first_ceiling_s
        counters.WRITE_INTERVAL_S = write_interval_s
        shards.SHARD_EVENTS_TARGET = shard_events_target
        hours.FRESH_RANGE_EVENTS_TARGET = shard_events_target

    async def reserve(self, created_at, sizes, patience_s):
        """Return the granted amounts of concurrent reservations, and the counters afterwards."""
        return await reservations.granted_to_many(
            *self.counted(created_at), sizes, patience_s=patience_s
        )

    async def booked(self, created_at):
        return await reservations.booked(*self.counted(created_at))

    def counted(self, created_at):
        domain = counters.WarmingDomain(
            UUID(int=1), "news.example", datetime.fromisoformat(created_at)
        )
        return BoundBucket(Bucket(self.env.WARMUP_R2)), same_day, domain
