"""`ops.parts`: split work without a window, such as building a segment.

A job uses it in three steps. A message without a part calls `plan` with the bounds that the shard
planner returns (`shared/ledger/shards.py`), commits, and sends a message per part. A message with a
part calls `claim`, does the work and calls `finish`, all in one transaction. A scheduled job calls
`requeue` and sends the returned parts again, so a lost message only delays its part.

Every step can be repeated, and runs of the same part can overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import TypeAdapter

from shared.errors import SubjectChanged
from shared.ledger.shards import Bounds
from shared.ports import Database, Row
from shared.sql.statements import SQL

# A part is enqueued again if it is not finished within this time of its last message.
QUEUED = timedelta(minutes=15)
REQUEUED_MAX = 1_000  # per call

_TO_JSON = TypeAdapter(Bounds)


@dataclass(frozen=True)
class Subject:
    """The row whose work is split, at one of its versions."""

    kind: str
    subject_id: UUID
    version: int

    def parameters(self) -> dict[str, object]:
        return {"kind": self.kind, "subject_id": self.subject_id, "version": self.version}


@dataclass(frozen=True)
class Part:
    """One part of the work, from 1 to `of`. `bounds` has plain JSON values, as in a message."""

    subject: Subject
    number: int
    of: int
    bounds: Bounds


def plan(db: Database, subject: Subject, bounds: Sequence[Bounds], now: datetime) -> list[Part]:
    """Plan the parts of a subject, and return those that are open.

    The first plan of a version stands: a later one inserts nothing, even with other bounds. Without
    bounds the work is a single part. Open parts of earlier versions are deleted.
    """
    db.execute(SQL["discard_parts"], **subject.parameters())
    planned = [_TO_JSON.dump_json(own).decode() for own in bounds or [{}]]
    db.execute(SQL["plan_parts"], **subject.parameters(), bounds=planned, queued_until=now + QUEUED)
    return open_parts(db, subject)


def open_parts(db: Database, subject: Subject) -> list[Part]:
    """Return the planned parts that are not done."""
    return [_part(row) for row in db.rows(SQL["open_parts"], **subject.parameters())]


def claim(db: Database, subject: Subject, number: int) -> Part | None:
    """Lock an open part until the end of the transaction; return None if it is done or locked by a
    run.
    """
    rows = db.rows(SQL["claim_part"], **subject.parameters(), part=number)
    return _part(rows[0]) if rows else None


def finish(db: Database, part: Part, now: datetime, lock_subject: Callable[[], int | None]) -> bool:
    """Mark a claimed part as done; True if it was the last one, whose run completes the work.

    `lock_subject` locks the subject's row and returns its version, or None if the row is gone.
    Raises SubjectChanged if that is another version than the part's: the transaction rolls back.
    Because every part takes this lock, of two parts that finish at once the second sees the first.
    """
    subject = part.subject
    version = lock_subject()
    if version != subject.version:
        raise SubjectChanged(f"{subject.kind}: planned for {subject.version}, now {version}")
    marked = db.execute(SQL["finish_part"], **subject.parameters(), part=part.number, now=now)
    if marked == 0:
        raise SubjectChanged(f"{subject.kind}: part {part.number} is not open")
    [open_parts] = db.rows(SQL["count_open_parts"], **subject.parameters())
    return bool(open_parts["count"] == 0)


def requeue(db: Database, kind: str, now: datetime) -> list[Part]:
    """Return the open parts whose message is overdue, and restart their wait at `now`.

    The caller sends the messages after its commit.
    """
    rows = db.rows(
        SQL["requeue_parts"],
        kind=kind,
        now=now,
        queued_until=now + QUEUED,
        rows_max=REQUEUED_MAX,
    )
    return [_part(row) for row in rows]


def _part(row: Row) -> Part:
    subject = Subject(row["kind"], row["subject_id"], row["version"])
    return Part(subject, row["part"], row["of"], row["bounds"])
