"""Let scores follow time: signals decay and expire, activity grows old."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from scoring.domain import parts
from scoring.domain.parts import Part
from scoring.store import statements
from shared.flow.window_run import Run
from shared.jobs import Job
from shared.messages import WindowMessage
from shared.outcome import Done, Sharded
from shared.windows import Schedule, hour_before


class SignalDecay(WindowMessage):
    type: Literal["scoring.SignalDecay"] = "scoring.SignalDecay"


async def signal_decay(run: Run) -> Done | Sharded:
    """Rescore the contacts whose score is another by the end of the window, through time alone."""
    db = run.ports.db
    t = statements.scoring_time(db, run.window.end)
    part = Part.of(run.shard)
    if run.shard is None and statements.due_rows(db, part, t) > parts.SHARD_ROWS:
        cut = parts.cut(statements.due_loads(db, t), lambda one: statements.due_cuts(db, one, t))
        if cut:  # else another run has just scored them
            return Sharded(parts.shards(cut))
    scored = statements.recompute_due(db, part, t)
    return Done(scored.rows_read, scored.rows_written)


JOB = Job(
    message=SignalDecay,
    handler=signal_decay,
    schedule=Schedule("0 * * * *", window_of=hour_before, grace=timedelta(minutes=30)),
)
