"""Change scores with time: signals decay and expire, activity gets old."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from scoring.store import statements
from shared import Done, Run, Schedule, Sharded, WindowJob, WindowMessage, hour_before
from shared.ledger.shards import KeyRange


class SignalDecay(WindowMessage):
    type: Literal["scoring.SignalDecay"] = "scoring.SignalDecay"


async def signal_decay(run: Run) -> Done | Sharded:
    """Rescore the contacts whose score changes by the end of the window through time alone.

    SQL: `scores.sql` (`recompute_due`); the formula is `parts/score.sql`.
    """
    db = run.ports.db
    t = statements.scoring_time(db, run.window.end)
    keys = KeyRange.of(run.shard)
    if run.shard is None and statements.due_rows(db, keys, t) > statements.SHARD_ROWS:
        shards = statements.due_shards(db, t)
        if shards:
            return Sharded(shards)
    scored = statements.recompute_due(db, keys, t)
    return Done(scored.rows_read, scored.rows_written)


JOB = WindowJob(
    message=SignalDecay,
    handler=signal_decay,
    schedule=Schedule("0 * * * *", window_of=hour_before, grace=timedelta(minutes=30)),
)
