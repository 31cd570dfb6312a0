"""The statements that set the figures of runs and campaigns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from delivery.store.statements import SQL
from shared.ports import Database, Row

# Events are recorded by transactions that may be open when others are counted.
OVERLAP = timedelta(minutes=5)
RECIPIENTS_MAX = 1_000_000  # of one statement: some seconds of work


def set_counts(db: Database, now: datetime) -> int:
    """Count what has moved since the last count; return how many runs."""
    [row] = db.rows(SQL["counted_until"])
    since = row["at"] if isinstance(row["at"], str) else row["at"] - OVERLAP
    runs = db.rows(SQL["moving_runs"], since=since)
    for portion in _portions(runs):
        with db.transaction():
            db.execute(SQL["count_runs"], ids=[run["id"] for run in portion])
            db.execute(
                SQL["sum_campaigns"],
                campaign_ids=[run["campaign_id"] for run in portion],
                event_times=[run["last_event_at"] for run in portion],
            )
    db.execute(SQL["set_counted_until"], now=now)
    return len(runs)


def _portions(runs: Sequence[Row]) -> Iterator[list[Row]]:
    """Divide runs so that no statement counts many more recipients than RECIPIENTS_MAX."""
    portion: list[Row] = []
    recipients = 0
    for run in runs:
        if portion and recipients + run["recipient_count"] > RECIPIENTS_MAX:
            yield portion
            portion, recipients = [], 0
        portion.append(run)
        recipients += run["recipient_count"]
    if portion:
        yield portion
