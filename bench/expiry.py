"""AlertExpiry with ten million alerts, of which a thousand are due."""

from __future__ import annotations

from typing import Any

from bench import people
from bench.measure import Result, alternate, folder, stopwatch
from bench.people import END
from bench.world import SQL, Jobs, World, jobs, timed
from scoring.jobs.alert_expiry import AlertExpiry
from scoring.store import statements
from scoring.worker import WORKER

ALERTS, DUE = 10_000_000, 1_000


def run(world: World) -> list[Result]:
    """Twenty times as many alerts are open and not due; all others were closed long ago."""
    url = world.empty("alerts")
    alerts, due = world.events(ALERTS), world.events(DUE)
    with timed(f"{alerts:,} alerts"):
        people.fill_alerts(url, alerts, due, END)
    with jobs(url, WORKER) as worker:
        worker.db.run(SQL["keep_open"], t=END)
        measured = alternate({
            "plain": lambda: plain_ms(worker.db),
            "job": lambda: job_ms(worker),
        })  # fmt: skip
        (folder(world.scale) / "expiry_plan.txt").write_text(_plan(worker.db), encoding="utf-8")
        note = "its plan: expiry_plan.txt"
    return [Result(f"{due:,} due of {alerts:,}", measured["job"], measured["plain"], note=note)]


def plain_ms(db: Any) -> float:
    """Time only the update, in milliseconds."""
    db.run(SQL["open_again"])
    return stopwatch(lambda: db.run(SQL["plain_expiry"], t=END))


def job_ms(worker: Jobs) -> float:
    """Time the quarter hour's message, in milliseconds."""
    worker.db.run(SQL["open_again"])
    return worker.run(AlertExpiry.model_validate({"scheduledFor": END}))


def _plan(db: Any) -> str:
    """Return the plan of the job's statement."""
    db.run(SQL["open_again"])
    options = "analyze, costs off, timing off, summary off, buffers off"
    explained = f"explain ({options}) {statements.SQL['expire_alerts']}"
    rows = db.run(explained, t=END, alerts_max=statements.ALERTS_MAX)
    return "\n".join(line for [line] in rows) + "\n"
