"""The segments of an organization, with their criteria understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from journeys.domain.criteria import Group, segments_of
from journeys.domain.order import arrange, refusal
from journeys.domain.parse import CHARS_MAX, Catalog, NotUnderstood, parse
from journeys.store.criteria_sql import Compiled, compile_criteria
from journeys.store.statements import SQL
from shared.ports import Database


@dataclass(frozen=True)
class Segment:
    """A dynamic segment at a version of its criteria. It has criteria, or a problem."""

    id: UUID
    version: int
    state: str
    is_prepared: bool
    criteria: Group | None
    problem: str | None

    @property
    def references(self) -> frozenset[UUID]:
        """The segments that the criteria read."""
        own = segments_of(self.criteria) if self.criteria else ()
        return frozenset(map(UUID, own))

    def compiled(self) -> Compiled:
        """Return the criteria as SQL."""
        if self.criteria is None:
            raise ValueError(f"segment {self.id} has no criteria")
        return compile_criteria(self.criteria)


@dataclass(frozen=True)
class Organization:
    """An organization's time zone, and its dynamic segments except the invalid ones, referenced
    segments first. `evaluated_at` is the time of its newest evaluation.
    """

    id: UUID
    zone: str
    evaluated_at: datetime | None
    segments: Sequence[Segment]

    def find(self, segment_id: UUID, version: int) -> Segment | None:
        """Return a segment at a version, or None."""
        found = [own for own in self.segments if (own.id, own.version) == (segment_id, version)]
        return found[0] if found else None

    def latest(self, t: datetime) -> datetime:
        """Return `t`, or the time of the newest evaluation if that is later."""
        return max(t, self.evaluated_at) if self.evaluated_at else t


def catalog_of(db: Database, organization_id: UUID) -> tuple[Catalog, str]:
    """Return what an organization has defined, and its time zone."""
    [row] = db.rows(SQL["organization"], organization_id=organization_id)
    return _catalog(row), row["zone"]


def _catalog(row: Mapping[str, Any]) -> Catalog:
    return Catalog(
        field_types=row["field_types"] or {},
        tags=frozenset(row["tags"]),
        segments=frozenset(row["segments"]),
    )


def load(db: Database, organization_id: UUID) -> Organization:
    """Read the segments of an organization."""
    [row] = db.rows(SQL["organization"], organization_id=organization_id)
    catalog = _catalog(row)
    rows = db.rows(SQL["dynamic_segments"], organization_id=organization_id, chars_max=CHARS_MAX)
    read = [_read(own, catalog) for own in rows]
    segments = _joined(read)
    return Organization(organization_id, row["zone"], row["evaluated_at"], segments)


def invalidate(db: Database, refused: Sequence[Segment]) -> Sequence[UUID]:
    """Make segments invalid at their versions, for their problems. Return which became it."""
    if not refused:
        return []
    rows = db.rows(
        SQL["invalidate"],
        segment_ids=[own.id for own in refused],
        versions=[own.version for own in refused],
        problems=[own.problem for own in refused],
    )
    return [row["id"] for row in rows]


def _read(row: Mapping[str, object], catalog: Catalog) -> Segment:
    criteria, problem = None, None
    try:
        criteria = parse(row["document"], catalog)  # type: ignore[arg-type]
    except NotUnderstood as error:
        problem = str(error)
    return Segment(
        id=row["id"],  # type: ignore[arg-type]
        version=row["version"],  # type: ignore[arg-type]
        state=row["state"],  # type: ignore[arg-type]
        is_prepared=row["prepared_version"] == row["version"],
        criteria=criteria,
        problem=problem,
    )


def _joined(read: Sequence[Segment]) -> list[Segment]:
    """Return the segments in order. Of segments in a circle, the one that came last is refused.

    Those whose dependencies are recorded came before the others.
    """
    references: dict[UUID, frozenset[UUID]] = {}
    joined: dict[UUID, Segment] = {}
    for own in sorted(read, key=lambda segment: (not segment.is_prepared, segment.id)):
        references[own.id] = own.references
        problem = refusal(own.id, references)
        joined[own.id] = own
        if problem is not None:
            del references[own.id]
            joined[own.id] = Segment(own.id, own.version, own.state, own.is_prepared, None, problem)
    return [joined[segment_id] for segment_id in arrange(references, joined)]
