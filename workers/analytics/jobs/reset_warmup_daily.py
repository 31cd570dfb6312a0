"""Delete the warm-up counters of past days."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from uuid import UUID

from analytics.store import statements
from analytics.store.statements import WarmupCounter
from shared import Bucket, Done, Run, Schedule, StoredObject, WindowJob, WindowMessage, day_before
from shared.warmup import caps


class ResetWarmupDaily(WindowMessage):
    type: Literal["analytics.reset-warmup-daily"] = "analytics.reset-warmup-daily"


async def reset_warmup_daily(run: Run) -> Done:
    """Delete the warm-up counters of past days, page by page.

    A counter is deleted if its domain is deleted, or if the domain is verified and the counter
    belongs to one of its first 30 days. The counter's day decides, not the day of the run: so the
    counter of the 30th day is deleted too, although its domain is 31 days old by then. An
    unverified domain keeps its last counters until it is verified or deleted.

    A counter without a date belongs to the day on which it was last written: one that a sender has
    written after the window's end stays, however late or often the run is.

    SQL: `reset_warmup_daily.sql` (`spent_counters`).
    """
    bucket, today = run.ports.bucket(caps.COUNTERS.binding), run.window.end.date()
    listed = deleted = strange = 0
    cursor: str | None = None
    while True:
        found, cursor = await bucket.list(caps.PREFIX, cursor)
        counters = [counter for item in found if (counter := counter_of(item))]
        listed, strange = listed + len(found), strange + len(found) - len(counters)
        deleted += await _delete_spent(
            run, bucket, [counter for counter in counters if counter.day < today]
        )
        if cursor is None:
            break
    if strange:
        run.ports.log(
            "warmup.unrecognized_keys", level="warning", reason="no_counter", count=strange
        )
    return Done(listed, deleted)


def counter_of(found: StoredObject) -> WarmupCounter | None:
    """Return the counter of an object; None for any other object. Without a date in its key it
    belongs to the day on which it was last written.

    >>> from datetime import UTC, datetime
    >>> key = "warmup/daily/2026-03-09/00000000-0000-0000-0000-000000000001/a.example/00"
    >>> str(counter_of(StoredObject(key, datetime.now(UTC))).day)
    '2026-03-09'
    """
    key = found.key
    if dated := caps.COUNTER_KEY.fullmatch(key):
        day = caps.day_of(dated["day"])
        return (
            WarmupCounter(key, UUID(dated["organization"]), dated["domain"], day) if day else None
        )
    if legacy := caps.UNDATED_KEY.fullmatch(key):
        return WarmupCounter(
            key, UUID(legacy["organization"]), legacy["domain"], found.uploaded.date()
        )
    return None


async def _delete_spent(run: Run, bucket: Bucket, counters: list[WarmupCounter]) -> int:
    """Delete the spent counters of a page; a page has at most as many keys as one call deletes."""
    keys = statements.spent_counters(run.ports.db, counters, caps.WARMUP_DAYS) if counters else []
    if keys:
        await bucket.delete(keys)
    return len(keys)


JOB = WindowJob(
    message=ResetWarmupDaily,
    handler=reset_warmup_daily,
    schedule=Schedule("0 0 * * *", window_of=day_before, grace=timedelta(hours=1)),
    aliases=("analytics.warmup-daily-reset",),
    bindings=(caps.COUNTERS,),
)
