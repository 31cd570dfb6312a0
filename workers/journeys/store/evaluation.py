"""The statements of an evaluation: the backlog, and one statement for each segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from journeys.store.segments import Segment
from journeys.store.statements import SQL
from shared.ledger.shards import KeyRange, Size, numbered, plan_keys
from shared.ports import Database, Row

CHUNK_CONTACTS = 10_000  # of one transaction
SHARD_CONTACTS = 50_000
DUE_AT_ONCE = 100_000
FAILED_RUNS_MAX = 3
FAILED = "The evaluation failed in three hours in a row. The log has the error: segment.failed."


@dataclass(frozen=True)
class Claim:
    """Entries of an organization's backlog that this transaction has locked."""

    organization_id: UUID
    number: int
    count: int
    first: UUID
    last: UUID

    def parameters(self) -> dict[str, Any]:
        return {
            "organization_id": self.organization_id,
            "claim": self.number,
            "first_contact": self.first,
            "last_contact": self.last,
        }


@dataclass(frozen=True)
class Change:
    """The contacts that one statement evaluated, and how many entered and left."""

    contacts: int
    entered: int
    left: int


def time_of_run(db: Database, window_end: datetime) -> datetime:
    """Return the time at which a window's run evaluates: never before that of a later window."""
    [row] = db.rows(SQL["time_of_run"], t=window_end)
    time: datetime = row["t"]
    return time


def enter_due(db: Database, t: datetime) -> int:
    """Enter contacts that are due at `t` into the backlog; return how many."""
    return db.execute(SQL["enter_due"], t=t, rows_max=DUE_AT_ONCE)


def backlog(db: Database, keys: KeyRange) -> list[Row]:
    """Return the organizations with entries in a range, each with its number of entries."""
    return db.rows(SQL["count_backlog"], **keys.bounds())


def shards(db: Database, sizes: Sequence[Row]) -> tuple[dict[str, Any], ...]:
    """Plan the shards of the backlog."""

    def cuts_of(organization_id: UUID) -> list[UUID]:
        rows = db.rows(SQL["cut_backlog"], organization_id=organization_id, rows_max=SHARD_CONTACTS)
        return [row["contact_id"] for row in rows]

    counted = [Size(row["organization_id"], row["count"]) for row in sizes]
    return numbered(plan_keys(counted, SHARD_CONTACTS, cuts_of))


def claim(
    db: Database, organization_id: UUID, first: UUID, until: UUID | None, rows_max: int
) -> Claim | None:
    """Lock the next entries of an organization's backlog; None if there are none."""
    rows = db.rows(
        SQL["claim_backlog"],
        organization_id=organization_id,
        first_contact=first,
        until_contact=until,
        rows_max=rows_max,
    )
    if not rows:
        return None
    [row] = rows
    return Claim(
        organization_id, row["version"], row["count"], row["first_contact"], row["last_contact"]
    )


def evaluate(
    db: Database, segment: Segment, chosen: str, parameters: Mapping[str, Any]
) -> Change | None:
    """Set the members of a segment among the chosen contacts. None: it has another version now.

    `chosen` is a block of `sql/criteria/statements.sql`. `parameters` are its own, `t` and `zone`.
    """
    compiled = segment.compiled()
    rows = db.rows(
        compiled.statement("evaluate", chosen),
        **compiled.parameters,
        **parameters,
        segment_id=segment.id,
        version=segment.version,
        state=segment.state,
    )
    return Change(rows[0]["contacts"], rows[0]["entered"], rows[0]["gone"]) if rows else None


def settle(db: Database, own: Claim, evaluated: Sequence[Segment], t: datetime) -> None:
    """Delete the claimed entries if every segment was evaluated, and note the time."""
    versions = {
        "segment_ids": [segment.id for segment in evaluated],
        "versions": [segment.version for segment in evaluated],
    }
    db.execute(SQL["settle_backlog"], **own.parameters(), **versions)
    db.execute(SQL["note_evaluation"], **versions, t=t)


def fail(db: Database, failed: Sequence[Segment], t: datetime) -> list[UUID]:
    """Count a failed evaluation; return the segments that became invalid by it."""
    if not failed:
        return []
    rows = db.rows(
        SQL["fail_segments"],
        segment_ids=[segment.id for segment in failed],
        t=t,
        runs_max=FAILED_RUNS_MAX,
        problem=FAILED,
    )
    return [row["id"] for row in rows]
