"""A message on its way from the ledger to a call. No representation shows an address or content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

from delivery.domain.address import (
    Mailbox,
    normalize_email,
    normalize_phone,
    parse_mailbox,
    unicode_email,
)
from delivery.domain.outgoing import Channel, MessageClass

Mode = Literal["live", "local", "shadow"]
# Organization, domain, its creation, and the day (UTC) of the place: it is released for that day.
Place = tuple[UUID, str, datetime, date]


def mode_of(setting: str | None) -> Mode:
    """Return the meaning of DELIVERY_MODE. Only `live` and `local` are named; all else is shadow.

    >>> mode_of("live"), mode_of("LIVE"), mode_of(None)
    ('live', 'shadow', 'shadow')
    """
    if setting == "live":
        return "live"
    return "local" if setting == "local" else "shadow"


@dataclass(frozen=True, repr=False)
class Waiting:
    """A locked row of the ledger, with what its address, sender and content are made of.

    `own_address` is the address that the message must have. A run and a claim copy the address of a
    contact, which may change: that copy is in `kept_address` alone, as the row has it. `run_id` is
    the job whose frozen content takes the place of the template.
    """

    id: UUID
    organization_id: UUID
    channel: Channel
    message_class: MessageClass
    contact_id: UUID | None
    campaign_id: UUID | None
    template_id: UUID | None
    content: Mapping[str, Any] | None
    variables: Mapping[str, Any] | None
    own_address: str | None
    contact_address: str | None
    sender: str | None
    reply_to: str | None
    postal_address: str | None
    contact_fields: Mapping[str, Any]
    custom_fields: Mapping[str, Any] | None
    campaign_fields: Mapping[str, Any]
    warmup_day: date | None
    created_at: datetime
    expires_at: datetime
    run_id: UUID | None = None
    kept_address: str | None = None

    @property
    def address(self) -> str | None:
        """The normalized address: `to`, otherwise the contact's; None if there is none."""
        text = self.own_address if self.own_address is not None else self.contact_address
        if text is None or self.channel == "push":
            return None
        return normalize_email(text) if self.channel == "email" else normalize_phone(text)

    @property
    def other_address(self) -> str | None:
        """The e-mail address with its domain in Unicode, if that is another spelling."""
        address = self.address
        return unicode_email(address) if address and self.channel == "email" else None

    @property
    def mailbox(self) -> Mailbox | None:
        """The sender of an e-mail."""
        return _sender(self.sender) if self.channel == "email" and self.sender else None

    @property
    def sender_domain(self) -> str | None:
        """The domain of the sender, as `sending_domains` has it."""
        return self.mailbox.address.rpartition("@")[2] if self.mailbox else None


@dataclass(frozen=True, repr=False)
class Decision:
    """What the checks say.

    `until`: when a deferred message is tried again. `is_limited`: the config has a rate.
    """

    state: str
    reason: str | None = None
    until: datetime | None = None
    address: str | None = None
    device_id: UUID | None = None
    config_id: UUID | None = None
    provider_type: str | None = None
    domain_created_at: datetime | None = None
    is_limited: bool = False


@dataclass(frozen=True, repr=False)
class Claimed:
    """A message that this consumer may send. `token` proves it until the lease ends."""

    waiting: Waiting
    decision: Decision
    token: int
    warmup_day: date | None

    @property
    def id(self) -> UUID:
        return self.waiting.id


@dataclass(frozen=True, repr=False)
class Claims:
    """The result of a claim.

    `seen` are all messages that were locked. `places_back` counts the places of the warm-up that
    are not used today, by organization and domain. `later` are references whose turn comes after
    these, because their contact has one of these. `unavailable` counts messages that wait for an
    operator's correction, by organization and reason.
    """

    claimed: list[Claimed] = field(default_factory=list)
    places_back: dict[Place, int] = field(default_factory=dict)
    later: list[tuple[UUID, UUID]] = field(default_factory=list)
    unavailable: dict[tuple[UUID, str], int] = field(default_factory=dict)
    seen: set[UUID] = field(default_factory=set)


@lru_cache(maxsize=100)
def _sender(text: str) -> Mailbox | None:
    """Parse a sender once: the messages of a batch have few, and each is asked several times."""
    return parse_mailbox(text)
