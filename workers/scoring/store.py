"""The statements of the scoring jobs, a function each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from scoring import parts
from scoring.parts import Key, Load, Part
from shared.ports import Database, Row
from shared.sql_blocks import SqlBlocks

SQL = SqlBlocks(Path(__file__).parent / "sql")

# A shard may have grown so much since it was counted; what is beyond waits for the next run.
GROWTH_MAX = 2
ALERTS_MAX = 100_000  # a statement's
# How long a run waits for a contact that the platform is changing; then its message comes again.
# One that holds others gives up before the server's deadlock detector, which looks after 1 s, might
# end the platform's transaction in its place. A message that is tried alone may take longer: so
# much that a batch of a hundred ends well within an invocation's 15 minutes.
PATIENCE, PATIENCE_ALONE = "800ms", "5s"


@dataclass(frozen=True)
class Scored:
    """How many contacts were scored, and how many rows changed by it."""

    rows_read: int
    rows_written: int


@dataclass(frozen=True)
class Replacement:
    """Points that a message gives in place of a category's own; None leaves it."""

    fit: int | None = None
    engagement: int | None = None
    intent: int | None = None


def scoring_time(db: Database, window_end: datetime) -> datetime:
    """The time at which a window's run scores: never earlier than that of a run before it."""
    [row] = db.rows(SQL["scoring_time"], t=window_end)
    time: datetime = row["t"]
    return time


def backlog_rows(db: Database, part: Part) -> int:
    """How many entries a part of the backlog has."""
    [row] = db.rows(SQL["backlog_rows"], **part.bounds())
    return int(row["count"])


def due_rows(db: Database, part: Part, t: datetime) -> int:
    """How many scores of a part time may have changed by `t`."""
    [row] = db.rows(SQL["due_rows"], **part.bounds(), t=t)
    return int(row["count"])


def backlog_loads(db: Database) -> list[Load]:
    """How many entries each organisation has, in order."""
    return _loads(db.rows(SQL["count_backlog"]))


def due_loads(db: Database, t: datetime) -> list[Load]:
    """How many scores of each organisation time may have changed by `t`, in order."""
    return _loads(db.rows(SQL["count_due"], t=t))


def backlog_cuts(db: Database, organization_id: UUID) -> list[UUID]:
    """The first contact of each part of an organisation's entries."""
    rows = db.rows(SQL["cut_backlog"], organization_id=organization_id, rows_max=parts.SHARD_ROWS)
    return [row["contact_id"] for row in rows]


def due_cuts(db: Database, organization_id: UUID, t: datetime) -> list[UUID]:
    """The first contact of each part of an organisation's scores that time may have changed."""
    rows = db.rows(SQL["cut_due"], organization_id=organization_id, t=t, rows_max=parts.SHARD_ROWS)
    return [row["contact_id"] for row in rows]


def recompute_backlog(db: Database, part: Part, t: datetime) -> Scored:
    """Score the contacts of a part of the backlog, and clear the entries that did not move."""
    return _recompute(db, part, t, backlog_rows(db, part))


def recompute_due(db: Database, part: Part, t: datetime) -> Scored:
    """Score the contacts of a part whose score is another at `t` through time alone.

    They go through the backlog: whoever holds a contact's entry may write the score, nobody else.
    """
    due = min(due_rows(db, part, t), _rows_max())
    if due == 0:
        return Scored(0, 0)
    db.execute(SQL["have_patience"], patience=PATIENCE)
    changed = db.execute(SQL["request_due"], **part.bounds(), t=t, rows=due)
    return Scored(due, _recompute(db, part, t, changed, reason="decay").rows_written)


def _recompute(
    db: Database, part: Part, t: datetime, rows: int, reason: str | None = None
) -> Scored:
    if rows == 0:
        return Scored(0, 0)
    [row] = db.rows(
        SQL["recompute_backlog"],
        **part.bounds(),
        t=t,
        rows=min(rows, _rows_max()),
        reason=reason,
        settled_until=t,
    )
    return _scored(row)


def request_contacts(db: Database, keys: Sequence[Key]) -> dict[Key, int]:
    """Put contacts into the backlog and hold their entries: the versions of those that exist."""
    [row] = db.rows(
        SQL["request_contacts"],
        patience=PATIENCE if len(keys) > 1 else PATIENCE_ALONE,
        organization_ids=[organization_id for organization_id, _ in keys],
        contact_ids=[contact_id for _, contact_id in keys],
    )
    held = zip(row["places"] or [], row["versions"] or [], strict=True)
    return {keys[place - 1]: version for place, version in held}


def score_contacts(
    db: Database, versions: Mapping[Key, int], replacements: Mapping[Key, Replacement], t: datetime
) -> Scored:
    """Score contacts whose entries are held. Their rows are written even if nothing changed."""
    nothing = Replacement()
    said = [replacements.get(key, nothing) for key in versions]
    [row] = db.rows(
        SQL["score_contacts"],
        organization_ids=[organization_id for organization_id, _ in versions],
        contact_ids=[contact_id for _, contact_id in versions],
        versions=list(versions.values()),
        as_fit=[one.fit for one in said],
        as_engagement=[one.engagement for one in said],
        as_intent=[one.intent for one in said],
        t=t,
        settled_until="-infinity",
    )
    return _scored(row)


def expire_alerts(db: Database, t: datetime) -> int:
    """Expire the open alerts whose deadline has come; how many."""
    expired = 0
    while True:
        touched = db.execute(SQL["expire_alerts"], t=t, alerts_max=ALERTS_MAX)
        expired += touched
        if touched < ALERTS_MAX:
            return expired


def take_crossings(db: Database, rows_max: int) -> list[Row]:
    """Remove the oldest scores that crossed a threshold and that nobody else is publishing."""
    return db.rows(SQL["take_crossings"], rows_max=rows_max)


def count_crossings(db: Database, thresholds: Sequence[int], rows_max: int) -> list[Row]:
    """Remove them too; how many there were of each organisation, threshold and direction."""
    [row] = db.rows(SQL["count_crossings"], thresholds=list(thresholds), rows_max=rows_max)
    crossings: list[Row] = row["crossings"]
    return crossings


def _rows_max() -> int:
    return GROWTH_MAX * parts.SHARD_ROWS


def _loads(rows: Sequence[Row]) -> list[Load]:
    return [Load(row["organization_id"], row["count"]) for row in rows]


def _scored(row: Row) -> Scored:
    return Scored(row["rows_read"], row["rows_written"])
