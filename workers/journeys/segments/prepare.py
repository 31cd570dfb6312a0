"""New criteria: understand them, record what they read, and start the build when it is safe."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from journeys.domain.builds import build_message
from journeys.segments.report import report_invalid
from journeys.store import builds, segments
from shared.ledger import parts
from shared.ports import Ports


def prepare_segments(ports: Ports) -> int:
    """Record the dependencies of new criteria; criteria that are not understood are refused.

    Each organization is a transaction of its own, and so is the mark: it must begin when the
    triggers see the dependencies.
    """
    count = 0
    for organization_id in builds.unprepared(ports.db):
        with ports.db.transaction():
            count += _prepare(organization_id, ports)
    builds.mark_prepared(ports.db)
    return count


def _prepare(organization_id: UUID, ports: Ports) -> int:
    organization = segments.load(ports.db, organization_id)
    new = [own for own in organization.segments if not own.is_prepared]
    refused = [own for own in new if own.problem is not None]
    report_invalid(segments.invalidate(ports.db, refused), organization_id, ports)
    return builds.prepare(ports.db, [own for own in new if own.problem is None])


def messages_of_builds(ports: Ports) -> list[dict[str, Any]]:
    """Return the messages of builds that can begin, and of parts whose message is overdue."""
    due = [
        build_message(row["organization_id"], row["id"], row["version"])
        for row in builds.due_builds(ports.db)
    ]
    overdue = parts.requeue(ports.db, builds.KIND, ports.clock())
    return [*due, *(part_message(own) for own in overdue)]


def part_message(part: parts.Part) -> dict[str, Any]:
    """Return the message of a part, whose bounds name its organization."""
    subject = part.subject
    organization_id = UUID(part.bounds["organization"])
    return build_message(organization_id, subject.subject_id, subject.version, part.number)
