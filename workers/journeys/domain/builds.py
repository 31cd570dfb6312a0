"""The queue messages of segments."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from shared.messages import Data, Message


class BuildSegmentData(Data):
    """`part` is the number of the part to build; without it the parts are planned."""

    organization_id: UUID
    segment_id: UUID
    criteria_version: int
    part: int | None = None


class BuildSegment(Message):
    type: Literal["journey.build-segment"] = "journey.build-segment"
    data: BuildSegmentData


def build_message(
    organization_id: UUID, segment_id: UUID, version: int, part: int | None = None
) -> dict[str, Any]:
    """Return the body of a message that builds a segment, or one of its parts."""
    data: dict[str, Any] = {
        "organizationId": str(organization_id),
        "segmentId": str(segment_id),
        "criteriaVersion": version,
    }
    return {
        "type": "journey.build-segment",
        "data": data if part is None else data | {"part": part},
    }
