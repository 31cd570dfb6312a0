"""A job of the simulator's own: it reads, computes in Python and writes what it read before.

So whatever lets an older run write after a newer one shows in its rows; SQL that counts and writes
in one statement hides it. Every fifth window is split.
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
    """Note when this run began, as the last thing that it does."""
    read_at = run.ports.clock()
    run.ports.db.rows("select 1")
    if run.shard is None and run.window.start.hour % 5 == 0:
        # How many parts depends on when one looks, as in real jobs.
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
