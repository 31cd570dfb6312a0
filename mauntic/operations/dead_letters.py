"""Redrive dead letters.

A dead letter is claimed, sent, and then marked as redriven: three transactions, so that no row is
locked during a call to the vendor's API. A failed redrive releases its claim; the claim of a killed
one expires. The dead letter is then still dead, or its message was sent once more than needed,
which is harmless because handlers are idempotent. Two concurrent redrives send each dead letter
once: one skips what the other has claimed.
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
from mauntic.operations.worker_catalog import consumer_of
from shared.adapters.queue import BATCH_MESSAGES_MAX
from shared.errors import DatabaseError, DatabaseUnreachable
from shared.flow.parse import parsed_body
from shared.jobs import WindowJob
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
    """Send at most `rate` messages per second. Yield the ids of each portion once sent and marked.

    Dead letters that are no longer dead are missing from the portion.
    """
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
    claimed_ids = [row["id"] for row in claimed]
    try:
        _reopen(db, claimed, now)
        system.send(queue, [body_to_redrive(row) for row in claimed])
    except BaseException:
        with suppress(DatabaseError, DatabaseUnreachable):  # the claim expires
            ledger_queries.release_dead_letters(db, claimed_ids, by=by, claimed_at=now)
        raise
    ledger_queries.mark_redriven(db, claimed_ids, by=by, note=note, claimed_at=now)
    return claimed_ids


def _reopen(db: Database, letters: Sequence[Row], now: datetime) -> None:
    """Let each job open what its dead letters closed (`on_redrive`), in one transaction."""
    by_job: dict[str, tuple[Any, list[Any]]] = {}
    for letter in letters:
        worker = consumer_of(letter["queue"])
        message = parsed_body(letter["body"], worker) if worker else None
        job = worker.by_type[message.type] if worker and message else None
        if job is not None and not isinstance(job, WindowJob) and job.on_redrive:
            by_job.setdefault(job.type, (job.on_redrive, []))[1].append(message)
    if by_job:
        with db.transaction():
            for on_redrive, messages in by_job.values():
                on_redrive(messages, db, now)


def portions(letters: Sequence[Row], size: int) -> Iterator[tuple[str, list[int]]]:
    """Yield portions of `size` dead letters of one queue, oldest first."""
    ordered = sorted(letters, key=lambda row: (row["queue"], row["id"]))
    for queue, group in groupby(ordered, key=lambda row: str(row["queue"])):
        ids = [row["id"] for row in group]
        for start in range(0, len(ids), size):
            yield queue, ids[start : start + size]


def body_to_redrive(letter: Row) -> Any:
    """Return the body with the id of its dead letter and its original planned time.

    Without the planned time it would mean a different window now. A body that is not a JSON object
    is returned unchanged.
    """
    body = letter["body"]
    fields = object_meant(body)
    if fields is None:
        return body
    marked = {**fields, MARK: letter["id"]}
    if letter["planned"] is not None and not fields.get("scheduledFor"):
        marked["scheduledFor"] = letter["planned"].isoformat()
    return marked if body_bytes(marked) <= MESSAGE_BYTES_MAX else body
