"""Clear away the warm-up counters of the days that are over."""

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
    """Delete the warm-up counters of days that are over, page by page.

    A counter goes if its domain is gone, or if the domain is verified and the counter is of one of
    its first 30 days. That is judged by the counter's day and not by that of the run: so the
    counter of the 30th day goes too, though its domain is 31 days old by then, and nothing is left
    behind. A domain that is not verified keeps its last counters until it is, or is removed.

    A counter without a date counts the day on which it was last written: one that a sender has
    written since the window's end stays, however late or often the run is.

    SQL: `reset_warmup_daily.sql` (`spent_counters`).
    """
    bucket, today = run.ports.bucket(caps.COUNTERS.binding), run.window.end.date()
    listed = deleted = strange = 0
    cursor: str | None = None
    while True:
        found, cursor = await bucket.list(caps.PREFIX, cursor)
        counters = [counter for one in found if (counter := counter_of(one))]
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
    """What an object counts; None if it is no counter. One without a date in its key counts the day
    on which it was last written.

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
    """A page has at most as many keys as one call may delete."""
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
