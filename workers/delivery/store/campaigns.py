"""The statements about campaigns and their runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

from delivery.domain.campaigns import PATIENCE, Campaign, Problem
from delivery.store.statements import SQL
from shared.ledger import parts
from shared.ledger.parts import Part, Subject
from shared.ledger.shards import Bounds
from shared.ports import Database, Row

KIND = "campaign.fan-out"
MEMBERS_MAX = 50_000  # of one part
ROWS_MAX = 1_000
LATE = Problem(
    "late", "it is later than its messages would live: start it by hand, or set a new time"
)

Key = tuple[UUID, UUID]  # organization, campaign


def subject_of(job_id: UUID) -> Subject:
    """The split work of a run. A run is split once."""
    return Subject(KIND, job_id, 1)


def find(db: Database, key: Key) -> Campaign | None:
    """Return the campaign, or None."""
    rows = db.rows(SQL["campaign"], **_columns(key))
    return Campaign(**rows[0]) if rows else None


def find_locked(db: Database, key: Key) -> Campaign | None:
    """Return the campaign, locked until the end of the transaction."""
    db.rows(SQL["lock_campaign"], **_columns(key))
    return find(db, key)


def part_bounds(db: Database, segment_id: UUID | None) -> list[Bounds]:
    """Return the ranges of contacts that divide a segment.

    The first is open below and the last above: who enters the segment later is in one of them.
    """
    rows = db.rows(SQL["part_edges"], segment_id=segment_id, size=MEMBERS_MAX)
    edges = [None, *(row["contact_id"] for row in rows[1:]), None]
    return [
        {name: edge for name, edge in (("firstContact", first), ("untilContact", until)) if edge}
        for first, until in pairwise(edges)
    ]


def start(
    db: Database,
    key: Key,
    content: Mapping[str, Any],
    metadata: Mapping[str, Any],
    bounds: Sequence[Bounds],
    now: datetime,
) -> list[Part]:
    """Create the job and the parts of a run, and set the campaign to `sending`."""
    frozen = {"content": json.dumps(content), "metadata": json.dumps(metadata)}
    [row] = db.rows(SQL["start_run"], **_columns(key), **frozen, now=now)
    return parts.plan(db, subject_of(row["id"]), bounds, now)


def refuse(db: Database, key: Key, problem: Problem) -> bool:
    """Write the problem; return False if it is known."""
    return bool(db.rows(SQL["refuse_campaign"], **_columns(key), problem=str(problem)))


def postpone(db: Database, key: Key, now: datetime) -> None:
    """Let the sweep try again."""
    db.execute(SQL["postpone_campaign"], **_columns(key), now=now)


def due(db: Database, now: datetime) -> list[Key]:
    """Return scheduled campaigns whose time has come."""
    rows = db.rows(SQL["due_campaigns"], now=now, patience=PATIENCE, rows_max=ROWS_MAX)
    return [(row["organization_id"], row["id"]) for row in rows]


def refuse_late(db: Database, now: datetime) -> list[Key]:
    """Write a problem for scheduled campaigns that are too late; return them."""
    rows = db.rows(
        SQL["refuse_late"], problem=str(LATE), now=now, patience=PATIENCE, rows_max=ROWS_MAX
    )
    return [(row["organization_id"], row["id"]) for row in rows]


def overdue_parts(db: Database, now: datetime) -> list[tuple[Key, int]]:
    """Return the open parts whose message is overdue, each with its campaign."""
    found = parts.requeue(db, KIND, now)
    if not found:
        return []
    rows = db.rows(SQL["campaigns_of_jobs"], ids=[part.subject.subject_id for part in found])
    keys = {row["id"]: (row["organization_id"], row["campaign_id"]) for row in rows}
    return [
        (keys[part.subject.subject_id], part.number)
        for part in found
        if part.subject.subject_id in keys
    ]


def finish(db: Database, now: datetime) -> list[Row]:
    """End the runs whose messages are all final, and their campaigns. Return the runs."""
    rows = db.rows(SQL["finish_runs"], kind=KIND, now=now)
    db.execute(SQL["finish_campaigns"])
    return rows


def _columns(key: Key) -> dict[str, UUID]:
    return {"organization_id": key[0], "campaign_id": key[1]}
