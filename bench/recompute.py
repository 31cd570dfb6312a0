"""BatchRecompute of all contacts, compared with one plain statement and with Python row by row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from bench.measure import Result, alternate, stopwatch
from bench.people import END
from bench.world import SQL, Jobs, World, jobs
from mauntic.database.url import connect
from mauntic.operations.score_explanation import explain
from scoring.jobs.batch_recompute import BatchRecompute
from scoring.worker import WORKER
from shared.adapters.postgres.client import Postgres
from shared.ports import Database, Row

RATIO_MAX = 1.5
ROUNDS = 3  # one takes more than a minute
SAMPLE = 500


def run(world: World) -> list[Result]:
    """Score a million contacts without scores, with three million signals."""
    url = world.people()
    with jobs(url, WORKER) as worker:
        worker.db.run("drop table if exists bench.lead_scores")
        worker.db.run(SQL["scores_copy"])
        before = worker.memory_mb()
        measured = alternate({
            "plain": lambda: plain_ms(worker.db),
            "job": lambda: job_ms(worker),
        }, rounds=ROUNDS)  # fmt: skip
        note = f"isolate {before:.0f} MB before, {worker.memory_mb():.0f} MB after"
        [[different]] = worker.db.run(SQL["scores_that_differ"])
        if different:
            raise RuntimeError(f"{different} scores differ from the reference's")
    one_by_one = [_one_by_one_ms(url) * world.events(1_000_000) / SAMPLE]
    return [
        Result("recompute of everybody", measured["job"], measured["plain"], RATIO_MAX, note),
        Result(
            "the same against Python, row by row",
            measured["job"],
            one_by_one,
            note=f"Python: {SAMPLE} contacts, extrapolated",
        ),
    ]


def plain_ms(db: Any) -> float:
    """Run the reference into an empty table, in milliseconds."""
    db.run("truncate bench.lead_scores")
    db.run("set timezone = 'UTC'; set work_mem = '64MB'; set jit = off")
    return stopwatch(lambda: db.run(SQL["plain_scores"], t=END))


def job_ms(worker: Jobs) -> float:
    """Run the window's message and its shards, in milliseconds."""
    worker.db.run(SQL["nobody_scored"])
    worker.db.run(SQL["vacuum_scores"])
    return worker.run(BatchRecompute.model_validate({"scheduledFor": END}))


def _one_by_one_ms(url: str) -> float:
    """Read, score and write a sample, contact by contact in Python, in milliseconds."""
    with closing(Postgres(lambda: connect(url))) as db:
        contacts = db.rows(SQL["some_contacts"], count=SAMPLE, skip=0)
        return stopwatch(lambda: _score_each(db, contacts))


def _score_each(db: Database, contacts: Sequence[Row]) -> None:
    for contact in contacts:
        _score_one(db, contact)


def _score_one(db: Database, contact: Row) -> None:
    found = explain(db, contact, END)
    made = found.score
    top = [{"factor": factor, "points": points} for factor, points in made.top_contributors]
    db.execute(
        SQL["store_one"],
        organization_id=found.organization_id,
        contact_id=found.contact_id,
        total=made.total,
        grade=made.grade,
        engagement=made.engagement,
        fit=made.fit,
        intent=made.intent,
        components=json.dumps(dict(made.components)),
        contributors=json.dumps(top),
        t=END,
    )
