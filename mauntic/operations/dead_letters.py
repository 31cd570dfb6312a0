"""Dead letters on their way back to their queues.

A letter is claimed, sent, and only then marked as redriven. These are three transactions, so that
no row is locked while the vendor's API is called. A redrive that fails gives its claim back, and
the claim of one that was killed lapses. The letter is then still dead, or it was sent once more
than needed, which is harmless because handlers are idempotent. Two operators at once redrive each
letter once: what one has claimed, the other passes over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from time import monotonic
from typing import Any

from mauntic.operations import ledger_queries
from mauntic.operations.message_input import MESSAGE_BYTES_MAX, body_bytes
from mauntic.operations.message_meaning import MARK
from mauntic.operations.system import Advance, System
from shared.adapters.queue import BATCH_MESSAGES_MAX
from shared.errors import DatabaseError, DatabaseUnreachable
from shared.messages import object_meant
from shared.ports import Database, Row


def utc_now() -> datetime:
    return datetime.now(UTC)


def redrive_letters(
    db: Database,
    system: System,
    letters: Sequence[Row],
    *,
    rate: float,
    by: str,
    note: str | None,
    sleep: Callable[[float], None],
    advance: Advance,
    clock: Callable[[], datetime] = utc_now,
) -> Iterator[list[int]]:
    """Send at most `rate` a second. Yields a portion's letters once they are sent and marked; those
    that it lacks were no longer dead."""
    began = monotonic()
    begun = 0
    for queue, ids in portions(letters, max(1, min(BATCH_MESSAGES_MAX, int(rate)))):
        sleep(max(0.0, began + begun / rate - monotonic()))
        begun += len(ids)
        yield _send_portion(db, system, queue, ids, by=by, note=note, now=clock())
        advance(len(ids))


def _send_portion(
    db: Database,
    system: System,
    queue: str,
    ids: Sequence[int],
    *,
    by: str,
    note: str | None,
    now: datetime,
) -> list[int]:
    claimed = ledger_queries.claim_dead_letters(db, ids, by=by, now=now)
    ours = [row["id"] for row in claimed]
    try:
        system.send(queue, [body_again(row) for row in claimed])
    except BaseException:
        with suppress(DatabaseError, DatabaseUnreachable):  # the claim lapses
            ledger_queries.release_dead_letters(db, ours, by=by, claimed_at=now)
        raise
    ledger_queries.mark_redriven(db, ours, by=by, note=note, claimed_at=now)
    return ours


def portions(letters: Sequence[Row], size: int) -> Iterator[tuple[str, list[int]]]:
    """The letters of a queue at a time, oldest first, so many a portion."""
    ordered = sorted(letters, key=lambda row: (row["queue"], row["id"]))
    for queue, group in groupby(ordered, key=lambda row: str(row["queue"])):
        ids = [row["id"] for row in group]
        for start in range(0, len(ids), size):
            yield queue, ids[start : start + size]


def body_again(letter: Row) -> Any:
    """The body with the letter that it comes from, and with the time that it meant when it was sent
    first: without that, it would mean another window now. What is no object is sent as it is."""
    body = letter["body"]
    meant = object_meant(body)
    if meant is None:
        return body
    marked = {**meant, MARK: letter["id"]}
    if letter["planned"] is not None and not meant.get("scheduledFor"):
        marked["scheduledFor"] = letter["planned"].isoformat()
    return marked if body_bytes(marked) <= MESSAGE_BYTES_MAX else body
