"""Score the contacts that have changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from scoring.domain import parts
from scoring.domain.parts import Part
from scoring.store import statements
from scoring.store.fold import fold_changes
from shared.flow.window_run import Run
from shared.jobs import Job
from shared.messages import WindowMessage
from shared.outcome import Done, Sharded
from shared.windows import Schedule, hour_before


class BatchRecompute(WindowMessage):
    type: Literal["scoring.BatchRecompute"] = "scoring.BatchRecompute"


async def batch_recompute(run: Run) -> Done | Sharded:
    """Score every contact in the backlog; many of them in shards, the busy organizations' last."""
    db = run.ports.db
    part = Part.of(run.shard)
    if run.shard is None:  # changes that were committed before the window's end count in it
        fold_changes(db, run.ports.clock())
    if run.shard is None and statements.backlog_rows(db, part) > parts.SHARD_ROWS:
        cut = parts.cut(statements.backlog_loads(db), lambda one: statements.backlog_cuts(db, one))
        if cut:  # else another run has just emptied the backlog
            return Sharded(parts.shards(cut))
    t = statements.scoring_time(db, run.window.end)
    scored = statements.recompute_backlog(db, part, t)
    return Done(scored.rows_read, scored.rows_written)


JOB = Job(
    message=BatchRecompute,
    handler=batch_recompute,
    schedule=Schedule("0 * * * *", window_of=hour_before, grace=timedelta(minutes=30)),
)
