"""Fold the change feed into the backlog, and open alerts."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from scoring.store.fold import CONSUMER, fold_changes
from shared import Database, Done, Ports, Run, Schedule, WindowJob, WindowMessage, minute_before
from shared.ledger import change_feed
from shared.telemetry import metrics


class FoldChanges(WindowMessage):
    type: Literal["scoring.fold-changes"] = "scoring.fold-changes"


async def fold(run: Run) -> Done:
    """Fold the changes of contacts and settings: fill the backlog, open alerts.

    SQL: `fold.sql` (`fold_contacts`, `open_alerts`).
    """
    ports = run.ports
    folded = fold_changes(ports.db, ports.clock())
    _report(ports)
    return Done(folded.rows_read, folded.rows_written)


def _report(ports: Ports) -> None:
    """Measure the depth and age of the feed. An empty feed, the usual case, is not logged."""
    state = change_feed.feed_state(ports.db, CONSUMER)
    age_s = 0
    if state.oldest_at is not None:
        age_s = max(0, round((ports.clock() - state.oldest_at).total_seconds()))
        ports.log("feed.waiting", count=state.count, age_s=age_s)
    metrics.write_feed(CONSUMER, state.count, age_s, ports)


def has_work(db: Database) -> bool:
    """Return whether the feed has rows."""
    return change_feed.has_changes(db, CONSUMER)


JOB = WindowJob(
    message=FoldChanges,
    handler=fold,
    schedule=Schedule(
        "* * * * *", window_of=minute_before, grace=timedelta(minutes=15), catch_up=1
    ),
    has_work=has_work,
    keep_runs=timedelta(days=1),
)
