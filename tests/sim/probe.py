"""A job of the simulator: it reads, computes in Python, and writes its earlier reading.

So its rows show whenever an older run writes after a newer one, which SQL that counts and writes in
one statement hides. Every fifth window is split.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from shared.jobs import Run, WindowJob
from shared.messages import WindowMessage
from shared.outcome import Done, Sharded
from shared.windows import Schedule, hour_before

SCHEMA = """
create schema sim;
create table sim.probes (
    id bigint generated always as identity primary key,
    window_start timestamptz not null,
    part text not null,
    of integer not null,
    split bigint not null,
    read_at timestamptz not null
);
"""


class Probe(WindowMessage):
    type: Literal["sim.probe"] = "sim.probe"


async def probe(run: Run) -> Done | Sharded:
    """Record when this run began, as its last action."""
    read_at = run.ports.clock()
    run.ports.db.rows("select 1")
    if run.shard is None and run.window.start.hour % 5 == 0:
        # The number of parts depends on the time, as in real jobs.
        count = 2 + run.ports.clock().minute % 2
        return Sharded(tuple({"index": n + 1, "of": count} for n in range(count)))
    run.ports.db.rows("select 2")
    run.ports.db.execute(
        "insert into sim.probes (window_start, part, of, split, read_at)"
        " values (:start, :part, :of, :split, :read_at)",
        start=run.window.start,
        part=run.shard.key if run.shard else "",
        of=run.shard.of if run.shard else 1,
        split=run.shard.run if run.shard else 0,
        read_at=read_at,
    )
    return Done(rows_written=1)


JOB = WindowJob(Probe, probe, Schedule("0 * * * *", hour_before, timedelta(minutes=30)))
