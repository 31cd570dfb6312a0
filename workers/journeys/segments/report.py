"""What an operator must know of segments, as log events."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shared.errors import DatabaseError, error_class
from shared.ports import Ports
from shared.telemetry.redaction import describe_error


def report_invalid(segment_ids: Sequence[UUID], organization_id: UUID, ports: Ports) -> None:
    """Report segments that became invalid."""
    for segment_id in segment_ids:
        ports.log(
            "segment.invalid",
            level="warning",
            organization_id=str(organization_id),
            segment_id=str(segment_id),
        )


def report_failed(
    segment_id: UUID, organization_id: UUID, error: DatabaseError, ports: Ports
) -> None:
    """Report the failed evaluation of a segment."""
    ports.log(
        "segment.failed",
        level="error",
        organization_id=str(organization_id),
        segment_id=str(segment_id),
        error_class=error_class(error),
        error=describe_error(error),
    )
