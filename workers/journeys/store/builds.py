"""The statements about segments with new criteria: dependencies, and builds in parts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from uuid import UUID

from journeys.domain.criteria import dependencies
from journeys.store.segments import Segment
from journeys.store.statements import SQL
from shared.ledger.parts import Subject
from shared.ledger.shards import Bounds
from shared.ports import Database, Row

KIND = "segment.build"
PART_CONTACTS = 50_000
BUILDS_MAX = 100  # started in one run of five minutes
BUILD_FAILED = (
    "The build failed: `mauntic dlq list` has the error, `mauntic segments rebuild` tries again."
)


def subject(segment_id: UUID, version: int) -> Subject:
    """The split work of a build."""
    return Subject(KIND, segment_id, version)


def unprepared(db: Database) -> list[UUID]:
    """Return the organizations with segments whose criteria are new."""
    return [row["organization_id"] for row in db.rows(SQL["unprepared"])]


def prepare(db: Database, segments: Sequence[Segment]) -> int:
    """Record what segments depend on; return how many."""
    for own in segments:
        pairs = sorted(dependencies(own.criteria)) if own.criteria else []
        db.execute(
            SQL["prepare"],
            segment_id=own.id,
            version=own.version,
            sources=[source for source, _ in pairs],
            names=[name for _, name in pairs],
        )
    return len(segments)


def mark_prepared(db: Database) -> None:
    """Note the number of a transaction that sees all dependencies. A transaction of its own."""
    db.execute(SQL["mark_prepared"])


def due_builds(db: Database) -> list[Row]:
    """Return the segments that can be built, and have no parts yet."""
    return db.rows(SQL["due_builds"], kind=KIND, rows_max=BUILDS_MAX)


def is_building(db: Database, organization_id: UUID, segment_id: UUID, version: int) -> bool:
    """Return whether a segment is built at this version."""
    rows = db.rows(
        SQL["building"], organization_id=organization_id, segment_id=segment_id, version=version
    )
    return bool(rows)


def part_bounds(db: Database, organization_id: UUID) -> list[Bounds]:
    """Return ranges of an organization's contacts; the first is open below, the last above."""
    rows = db.rows(SQL["part_edges"], organization_id=organization_id, size=PART_CONTACTS)
    edges = [None, *(row["contact_id"] for row in rows[1:]), None]
    return [
        {name: edge for name, edge in (("firstContact", first), ("untilContact", until)) if edge}
        for first, until in pairwise(edges)
    ]


def lock(db: Database, segment_id: UUID) -> int | None:
    """Lock a segment that is building, and return its version; None if there is none."""
    rows = db.rows(SQL["lock_segment"], segment_id=segment_id)
    return int(rows[0]["version"]) if rows else None


def finish(db: Database, segment_id: UUID, version: int, t: datetime) -> None:
    """The segment is ready: its members satisfy the criteria of this version."""
    db.execute(SQL["finish_build"], segment_id=segment_id, version=version, t=t)


def give_up(db: Database, segment_id: UUID, version: int) -> None:
    """The build has failed finally: the segment is invalid, and its parts end."""
    db.execute(
        SQL["give_up"], kind=KIND, segment_id=segment_id, version=version, problem=BUILD_FAILED
    )
