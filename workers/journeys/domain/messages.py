"""The queue messages of journeys."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.messages import Data, Message

REQUEST_CHARS_MAX = 200
CONTACTS_MAX = 100


class AdvanceData(Data):
    organization_id: UUID
    execution_id: UUID
    seq: int = Field(ge=0, strict=True)


class Advance(Message):
    """Advance an execution that stands at this visit."""

    type: Literal["journey.advance"] = "journey.advance"
    data: AdvanceData


class EnrollData(Data):
    organization_id: UUID
    journey_id: UUID
    contact_ids: Annotated[list[UUID], Field(min_length=1, max_length=CONTACTS_MAX)]
    request_id: str = Field(min_length=1, max_length=REQUEST_CHARS_MAX)


class Enroll(Message):
    """Enter contacts into a journey, at most once for each request."""

    type: Literal["journey.enroll"] = "journey.enroll"
    data: EnrollData


class RunTriggerData(Data):
    organization_id: UUID
    trigger_id: UUID


class RunTrigger(Message):
    """Enter the members of a segment that its trigger has not seen."""

    type: Literal["journey.run-trigger"] = "journey.run-trigger"
    data: RunTriggerData


class CrossingData(Data):
    organization_id: UUID
    contact_id: UUID
    score: float
    previous_score: float
    threshold: int
    direction: Literal["up", "down"]


class ScoreThresholdCrossed(Message):
    """A score reached or fell below a threshold, as scoring publishes it."""

    type: Literal["scoring.ScoreThresholdCrossed"] = "scoring.ScoreThresholdCrossed"
    event_id: str = Field(min_length=1, max_length=200)
    data: CrossingData
