"""SignalDecay over a million scores, of which one in a hundred changes within an hour."""

from __future__ import annotations

from typing import Any

from bench.measure import Result, alternate, stopwatch
from bench.people import END
from bench.world import HOUR, SQL, Jobs, World, jobs
from scoring.jobs.batch_recompute import BatchRecompute
from scoring.jobs.signal_decay import SignalDecay
from scoring.worker import WORKER

RATIO_MAX = 1.3
ROUNDS = 5
T = END + HOUR


def run(world: World) -> list[Result]:
    """Run the decay one hour after all contacts were scored. Each round's changes are reverted."""
    url = world.people()
    with jobs(url, WORKER) as worker:
        _score_everybody(worker)
        before = worker.memory_mb()
        measured = alternate({
            "plain": lambda: plain_ms(worker.db),
            "job": lambda: job_ms(worker),
        }, rounds=ROUNDS)  # fmt: skip
        after = worker.memory_mb()
        note = f"{_rows(worker.db)}; isolate {before:.0f} MB before, {after:.0f} MB after"
    return [Result("decay of an hour", measured["job"], measured["plain"], RATIO_MAX, note)]


def plain_ms(db: Any) -> float:
    """Time the reference, in milliseconds."""
    db.run(SQL["put_back"])
    db.run("set timezone = 'UTC'; set work_mem = '64MB'; set jit = off")
    return stopwatch(lambda: db.run(SQL["plain_decay"], t=T))


def job_ms(worker: Jobs) -> float:
    """Time the job, in milliseconds."""
    return worker.run(SignalDecay.model_validate({"scheduledFor": T}))


def _score_everybody(worker: Jobs) -> None:
    worker.db.run(SQL["nobody_scored"])
    worker.run(BatchRecompute.model_validate({"scheduledFor": END}))
    worker.db.run("drop table if exists bench.lead_scores")
    worker.db.run(SQL["scores_copy"])
    worker.db.run("insert into bench.lead_scores select * from scoring.lead_scores")
    worker.db.run("vacuum (analyze) bench.lead_scores")
    worker.db.run(SQL["vacuum_scores"])
    worker.db.run("drop table if exists bench.due, bench.due_history")
    worker.db.run(SQL["keep_due"], t=T)
    worker.db.run(SQL["keep_due_history"])


def _rows(db: Any) -> str:
    """Return the numbers of examined and changed contacts, after comparing job and reference."""
    [[due]] = db.run("select count(*) from bench.due")
    changed = [
        db.run(f"select count(*) from {table} where scored_at = :t", t=T)[0][0]
        for table in ("scoring.lead_scores", "bench.lead_scores")
    ]
    if changed[0] != changed[1]:
        raise RuntimeError(f"the job changed {changed[0]} rows, the reference {changed[1]}")
    return f"{due:,} examined, {changed[0]:,} changed"
