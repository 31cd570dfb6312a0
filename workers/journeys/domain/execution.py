"""An execution as a message finds it: its row, and what its next decision depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class Waiting:
    """The visit in which an execution waits. `until` and `has_happened` are a gate's."""

    since: datetime
    until: datetime | None = None
    has_happened: bool = False


@dataclass(frozen=True)
class Execution:
    """An active execution of an active journey.

    `step_id` is the step in which it waits, or which it visits next. `local_times` are the next
    times of the version's steps that wait for a time of day. `verdicts` are what its conditions
    say about the contact, or why they cannot be understood.
    """

    id: UUID
    organization_id: UUID
    journey_id: UUID
    contact_id: UUID
    seq: int
    step_id: UUID | None
    started_at: datetime
    has_contact: bool = True
    waiting: Waiting | None = None
    local_times: Mapping[UUID, datetime] = field(default_factory=dict)
    verdicts: Mapping[UUID, bool | str] = field(default_factory=dict)
