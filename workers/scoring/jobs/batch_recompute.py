"""Score the contacts that have changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from scoring.store import statements
from scoring.store.fold import fold_changes
from shared import Done, Run, Schedule, Sharded, WindowJob, WindowMessage, hour_before
from shared.ledger.shards import KeyRange


class BatchRecompute(WindowMessage):
    type: Literal["scoring.BatchRecompute"] = "scoring.BatchRecompute"


async def batch_recompute(run: Run) -> Done | Sharded:
    """Score every contact in the backlog, in shards if there are many, busy organizations last.

    SQL: `scores.sql` (`recompute_backlog`); the formula is `parts/score.sql`.
    """
    db = run.ports.db
    keys = KeyRange.of(run.shard)
    if run.shard is None:  # the scores include changes that were committed before the window's end
        fold_changes(db, run.ports.clock())
    if run.shard is None and statements.backlog_rows(db, keys) > statements.SHARD_ROWS:
        shards = statements.backlog_shards(db)
        if shards:
            return Sharded(shards)
    t = statements.scoring_time(db, run.window.end)
    scored = statements.recompute_backlog(db, keys, t)
    return Done(scored.rows_read, scored.rows_written)


JOB = WindowJob(
    message=BatchRecompute,
    handler=batch_recompute,
    schedule=Schedule("0 * * * *", window_of=hour_before, grace=timedelta(minutes=30)),
)
