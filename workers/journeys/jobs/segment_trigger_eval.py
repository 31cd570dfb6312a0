"""Every hour: bring the members of segments up to date, and let their triggers run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Literal

from journeys.segments.evaluate import evaluate_range
from journeys.sending import send_triggers
from journeys.store import evaluation, triggers
from journeys.store.fold import fold_contacts, fold_whole
from shared import Database, Done, Run, Schedule, Sharded, WindowJob, WindowMessage, hour_before
from shared.ledger.shards import KeyRange

PASSES_MAX = 20  # of the feed, and of what is due, in one run
WHOLE_MAX = 1_000  # settings, and portions of large companies


class SegmentTriggerEval(WindowMessage):
    type: Literal["journey.segment-trigger-eval"] = "journey.segment-trigger-eval"


async def segment_trigger_eval(run: Run) -> Done | Sharded:
    """Evaluate the contacts that changed, or that time concerns, for all segments.

    SQL: `segments.sql` (`claim_backlog`, `settle_backlog`), `fold.sql` (`fold_contacts`); the
    criteria are `criteria/operators.sql`.
    """
    ports, keys = run.ports, KeyRange.of(run.shard)
    if run.shard is None:
        _fill_backlog(run)
        sizes = evaluation.backlog(ports.db, keys)
        if sum(row["count"] for row in sizes) > evaluation.SHARD_CONTACTS:
            shards = evaluation.shards(ports.db, sizes)
            if len(shards) > 1:
                return Sharded(shards)
    evaluated = evaluate_range(keys, run.window.end, ports)
    await send_triggers(triggers.ask(ports.db, keys, ports.clock()), ports)
    return evaluated


def _fill_backlog(run: Run) -> None:
    """Enter what changed, and what is due at the end of the window."""
    db = run.ports.db
    t = evaluation.time_of_run(db, run.window.end)
    _repeat(db, lambda: fold_whole(db), WHOLE_MAX)
    _repeat(db, lambda: fold_contacts(db) > 0)
    _repeat(db, lambda: evaluation.enter_due(db, t) == evaluation.DUE_AT_ONCE)


def _repeat(db: Database, work: Callable[[], bool], passes_max: int = PASSES_MAX) -> None:
    """Work in transactions of their own while there is more, up to a limit."""
    for _ in range(passes_max):
        with db.transaction():
            has_more = work()
        if not has_more:
            break


JOB = WindowJob(
    message=SegmentTriggerEval,
    handler=segment_trigger_eval,
    schedule=Schedule("0 * * * *", window_of=hour_before, grace=timedelta(minutes=30)),
    aliases=("journey:segment-trigger-eval",),
    transaction=False,
)
