"""The conditions after the faults have ceased. Each check yields its violations."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, timedelta
from typing import Any

from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.body_limits import kept_part
from shared.ports import Row
from tests.sim import scoring_verdict
from tests.sim.saying import differences, some
from tests.sim.simulation import Simulation

ENQUEUED_MAX = 3  # messages per window, on average over all faults


def problems(simulation: Simulation) -> list[str]:
    """Return all violations of a run."""
    with closing(Postgres(lambda: connect(simulation.url))) as db:
        checks = (
            messages, thrift, runs, splits, crashes, ledger, about_now, shards, probes, rollups,
            months, campaigns, counters, purged,
        )  # fmt: skip
        every = checks + scoring_verdict.CHECKS
        return [problem for check in every for problem in check(simulation, db)]


def messages(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """Every message is done, or dead once with a reason."""
    broker = simulation.broker
    yield from some("is still queued", [message.body for message in broker.waiting])
    yield from some("was lost from a dead-letter queue", [m.body for m in broker.lost])
    letters = db.rows("select * from ops.dead_letters")
    yield from some("died without a reason", [one for one in letters if not one["reason"]])
    found = Counter(mark(one["body"]) for one in letters if mark(one["body"]))
    sent = Counter(mark(body) for _, body in simulation.history.letters)
    yield from differences("poisoned message", sent, found)
    bodies = {json.dumps(one["body"], sort_keys=True) for one in letters}
    given_up = {json.dumps(kept_part(body), sort_keys=True) for body in broker.given_up.values()}
    yield from some("was given up by the platform and has no row", sorted(given_up - bodies))


def mark(body: Any) -> str | None:
    """The mark of a poisoned message."""
    found = re.search(r"poison-\d+", json.dumps(body))
    return found[0] if found else None


def thrift(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """Windows are enqueued once, and again only if a fault has lost them."""
    [counted] = db.rows(
        "select count(*) as n from ("
        " select job_type, window_start, shard from ops.job_runs"
        " union select job_type, window_start, shard from sim.starts) as run"
    )
    windows = counted["n"]
    fair = ENQUEUED_MAX * windows + len(simulation.history.letters) + len(simulation.asked)
    sent = simulation.broker.sent - simulation.broker.buried
    if sent > fair:
        yield f"{sent} messages were sent for {windows} windows and shards"


def runs(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """A delay causes no work: a window that has succeeded does not run for a cron's message."""
    again = db.rows(
        "select job_type, window_start, shard from sim.starts"
        " where was_done and trigger in ('cron', 'catch-up')"
    )
    yield from some("ran again though it had succeeded", again)


def splits(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """Ticks split a window once: missing shards are sent again, and not split again."""
    again = db.rows(
        "select job_type, window_start, count(*) as splits from sim.splits"
        " where trigger in ('cron', 'catch-up') group by job_type, window_start having count(*) > 1"
    )
    yield from some("was split more than once", again)


def crashes(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """No exception leaves an invocation, and no job fails in its own code."""
    yield from some("was raised out of an invocation", simulation.crashes)
    tracebacks = [one["traceback"] for one in simulation.events if one["event"] == "job.crashed"]
    yield from some("was raised by a job", tracebacks)


def ledger(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """Every window since the first tick has succeeded."""
    rows = db.rows("select * from ops.job_runs where shard = ''")
    states = {(row["job_type"], row["window_start"]): row for row in rows}
    first: dict[str, Any] = {
        row["job_type"]: row["starts_at"] for row in db.rows("select * from ops.schedules")
    }
    for job in (job for worker in simulation.workers for job in worker.jobs if job.schedule):
        assert job.schedule is not None
        if job.has_work:  # the next run continues the work; the checks of scores see the end
            continue
        for window in job.schedule.between(first[job.type], simulation.now - timedelta(hours=2)):
            row = states.get((job.type, window.start), {"status": None})
            if row["status"] == "skipped" and _may_skip(simulation, row):
                continue
            if row["status"] != "succeeded":
                yield f"{job.type} {window} is {row['status']}"


def about_now(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """For a job that acts on the current state no run waits, and only dead runs stay undone."""
    types = [
        job.type for worker in simulation.workers for job in worker.window_jobs if job.has_work
    ]
    unfinished = db.rows(
        "select job_type, window_end, status from ops.job_runs where job_type = any(:job_types)"
        " and status not in ('succeeded', 'skipped', 'dead') and window_end < :before",
        job_types=types,
        before=simulation.now - timedelta(hours=2),
    )
    yield from some("is left of a job about now", unfinished)


def shards(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """Under a window that has succeeded nothing stays waiting."""
    unfinished = db.rows(
        "select run.job_type, run.window_start, run.shard, run.status from ops.job_runs as run"
        " join ops.job_runs as whole using (job_type, window_start, window_end)"
        " where run.shard <> '' and whole.shard = '' and whole.status = 'succeeded'"
        " and run.status <> 'succeeded'"
    )
    yield from some("is left of a split", unfinished)


def _may_skip(simulation: Simulation, row: Row) -> bool:
    """48 newer windows became due while an outage, a slow queue or a pause held it."""
    length = row["window_end"] - row["window_start"]
    is_behind: bool = row["window_end"] + 48 * length <= row["finished_at"]
    was_out = sum(
        (
            max(min(until, row["finished_at"]) - max(start, row["window_end"]), timedelta())
            for start, until in _standstills(simulation, row["job_type"])
        ),
        timedelta(),
    )
    return is_behind and was_out >= 40 * length


def _standstills(simulation: Simulation, job_type: str) -> list[tuple[datetime, datetime]]:
    """Return the periods in which a window of the job could not run."""
    [queue] = [
        worker.queue_of(job).name
        for worker in simulation.workers
        for job in worker.jobs
        if job.type == job_type
    ]
    slow = [s for s in simulation.broker.slowdowns if s.queue == queue]
    late = [(s.start, s.end + (s.delay or timedelta())) for s in slow]
    paused = [(p.start, p.end) for p in simulation.pauses if p.job_type == job_type]
    return [*simulation.faults.outages, *late, *paused]


def probes(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """No run writes after a later one of its window; a split window has all parts of one split."""
    rows = db.rows("select * from sim.probes order by id")
    newest: dict[Any, Any] = {}
    for row in rows:
        key = (row["window_start"], row["part"], row["of"])
        if row["read_at"] < newest.get(key, row["read_at"]):
            yield f"an older run of {key} wrote after a newer one"
        newest[key] = row["read_at"]
    splits = db.rows(
        "select window_start, fencing_token from ops.job_runs"
        " where job_type = 'sim.probe' and shard = ''"
        " and extract(hour from window_start)::int % 5 = 0"
    )
    for split in splits:
        parts = [
            row for row in rows
            if row["window_start"] == split["window_start"]
            and row["split"] == split["fencing_token"]
        ]  # fmt: skip
        if not parts or len({row["part"] for row in parts}) != parts[0]["of"]:
            yield f"the split window {split['window_start']} is done without all its parts"


def rollups(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """The daily rows equal the counts of plain Python."""
    rows = db.rows("select * from analytics.daily_aggregates where count > 0")
    yield from differences("daily row", simulation.history.day_rows(), _figures(rows))


def purged(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """The purge was declared, for its tenant alone, and its events are gone."""
    asked = simulation.purge.values
    rows = db.rows("select organization_id, retained_since from ops.retention")
    declared = {row["organization_id"]: row["retained_since"] for row in rows}
    yield from differences(
        "retained period", {asked["organization"]: asked["before"].date()}, declared
    )
    left = db.rows(
        "select id from analytics.contact_activity"
        " where organization_id = :organization and occurred_at < :before",
        **asked,
    )
    yield from some("was purged and is there", left)


def months(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """The month that ended has its rows."""
    rows = db.rows(
        "select * from analytics.event_aggregates where event_type like 'monthly:%' and count > 0"
        " and date >= :first",
        first=simulation.start.date().replace(day=1),
    )
    first, until = date(2026, 2, 1), date(2026, 3, 1)
    if simulation.end.date() <= until:
        return
    yield from differences(
        "monthly row", simulation.history.month_rows(first, until), _figures(rows)
    )


def campaigns(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """The campaigns' figures equal the counts of plain Python."""
    stored = {}
    for row in db.rows("select * from analytics.campaign_daily_stats"):
        key = (row.pop("campaign_id"), row.pop("organization_id"), row.pop("date"))
        stored[key] = {name: n for name, n in row.items() if name != "updated_at" and n}
    found = {key: figures for key, figures in stored.items() if figures}
    yield from differences("campaign's day", simulation.history.campaign_rows(), found)


def counters(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """The spent warm-up counters are deleted, the others are not."""
    left = simulation.history.counters_left(simulation.now.date())
    yield from differences(
        "warm-up counter", dict.fromkeys(left, 1), dict.fromkeys(simulation.objects, 1)
    )


def _figures(rows: list[Row]) -> dict[Any, tuple[int, int]]:
    return {
        (row["organization_id"], row["date"], row["event_type"]): (
            row["count"],
            row["unique_count"],
        )
        for row in rows
    }
