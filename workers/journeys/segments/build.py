"""Build a segment: replace its members, part by part."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from journeys.domain.builds import BuildSegmentData
from journeys.segments.prepare import part_message
from journeys.segments.report import report_invalid
from journeys.store import builds, evaluation, segments
from journeys.store.statements import SQL
from shared.errors import SubjectChanged
from shared.ledger import parts
from shared.ledger.shards import FIRST_UUID
from shared.outcome import Done
from shared.ports import Database, Ports


def plan_build(data: BuildSegmentData, ports: Ports) -> list[dict[str, Any]]:
    """Plan the parts of a build; return their messages. None if it has another version now."""
    version = data.criteria_version
    with ports.db.transaction():
        if not builds.is_building(ports.db, data.organization_id, data.segment_id, version):
            return []
        bounds = builds.part_bounds(ports.db, data.organization_id)
        named = [{"organization": str(data.organization_id), **own} for own in bounds]
        subject = builds.subject(data.segment_id, version)
        planned = parts.plan(ports.db, subject, named, ports.clock())
    return [part_message(part) for part in planned]


def build_part(data: BuildSegmentData, number: int, ports: Ports) -> Done:
    """Set the members of one part. Done too if another run has it, or the version is another."""
    try:
        with ports.db.transaction():
            return _build_part(data, number, ports)
    except SubjectChanged:
        return Done(organization_id=str(data.organization_id))


def _build_part(data: BuildSegmentData, number: int, ports: Ports) -> Done:
    db, organization_id = ports.db, data.organization_id
    part = parts.claim(db, builds.subject(data.segment_id, data.criteria_version), number)
    if part is None:
        return Done(organization_id=str(organization_id))
    organization = segments.load(db, organization_id)
    segment = organization.find(data.segment_id, data.criteria_version)
    if segment is None or segment.state != "building":
        raise SubjectChanged(f"{builds.KIND}: the segment is not building")
    if segment.problem is not None:
        report_invalid(segments.invalidate(db, [segment]), organization_id, ports)
        return Done(organization_id=str(organization_id))
    t = organization.latest(ports.clock())
    db.rows(SQL["take_over_members"])
    chosen = {
        "organization_id": organization_id,
        "first_contact": part.bounds.get("firstContact", FIRST_UUID),
        "until_contact": part.bounds.get("untilContact"),
    }
    change = evaluation.evaluate(
        db, segment, "chosen_range", {**chosen, "t": t, "zone": organization.zone}
    )
    if change is None:
        raise SubjectChanged(f"{builds.KIND}: the criteria have changed")
    _finish(db, part, t, ports.clock())
    return Done(change.contacts, change.entered + change.left, str(organization_id))


def _finish(db: Database, part: parts.Part, t: datetime, now: datetime) -> None:
    """Mark the part as done; the last part makes the segment ready."""
    segment_id: UUID = part.subject.subject_id
    if parts.finish(db, part, now, lambda: builds.lock(db, segment_id)):
        builds.finish(db, segment_id, part.subject.version, t)
