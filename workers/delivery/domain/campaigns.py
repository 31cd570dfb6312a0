"""A campaign as its start reads it, and a part of its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from delivery.domain.outgoing import Channel, MessageClass

STARTABLE = ("draft", "scheduled", "sending")
SegmentState = Literal["missing", "building", "ready", "invalid"]
# As long as its messages live without a setting: a campaign that is later than that is not started.
PATIENCE = timedelta(hours=72)


@dataclass(frozen=True, repr=False)
class Campaign:
    """A campaign with everything that decides whether its run can start.

    `job_id` is the job of the present run, if it has started.
    """

    id: UUID
    organization_id: UUID
    type: str
    status: str
    run: int
    name: str
    subject: str | None
    segment_id: UUID | None
    settings: Any  # the platform writes it: an object, if it is valid
    template_id: UUID | None
    problem: str | None
    job_id: UUID | None
    template: Mapping[str, Any] | None
    segment_state: SegmentState
    from_address: str | None
    postal_address: str | None
    verified_domains: Sequence[str]
    provider_types: Sequence[str]

    @property
    def message_class(self) -> str:
        """Marketing, the stricter class, unless the settings say otherwise."""
        return str(self.settings.get("message_class") or "marketing")

    @property
    def sender(self) -> str | None:
        """The sender of its e-mails: its own, otherwise the organization's."""
        return self.settings.get("from") or self.from_address


@dataclass(frozen=True)
class Problem:
    """Why a campaign cannot start. `text` has the remedy and no personal data."""

    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


@dataclass(frozen=True, repr=False)
class Run:
    """One run of a campaign, as its parts need it."""

    job_id: UUID
    organization_id: UUID
    campaign_id: UUID
    channel: Channel
    template_id: UUID
    number: int
    message_class: MessageClass
    segment_id: UUID
    expires_after_hours: float | None
    sender: str | None
    is_canceled: bool

    @property
    def lifetime(self) -> timedelta:
        """How long its messages may wait; without a setting as long as others of their class."""
        if self.expires_after_hours is not None:
            return timedelta(hours=self.expires_after_hours)
        return timedelta(hours=24 if self.message_class == "transactional" else 72)

    def expires_at(self, now: datetime) -> datetime:
        return now + self.lifetime

    @property
    def key(self) -> str:
        """The beginning of the idempotency keys of its messages."""
        return f"campaign:{self.campaign_id}:{self.number}:"
