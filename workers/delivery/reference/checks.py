"""The checks 1 to 12 of a claim, one after the other: the first that fails decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from delivery.domain.address import normalize_email, normalize_phone, parse_mailbox

FOREVER = "infinity"
LATER = timedelta(minutes=15)


@dataclass(frozen=True)
class Result:
    """What follows: `claimed`, `skipped` or `deferred`. `until` may be `infinity`."""

    state: str
    reason: str | None = None
    until: datetime | str | None = None
    address: str | None = None
    config: UUID | None = None


@dataclass(frozen=True)
class Contact:
    email: str | None = None
    phone: str | None = None
    status: str = "active"
    custom_fields: Mapping[str, Any] = field(default_factory=dict)
    time_zone: str | None = None


@dataclass(frozen=True)
class Device:
    id: UUID
    kind: str
    is_active: bool


@dataclass(frozen=True)
class Suppression:
    channel: str
    address: str
    scope: str
    expires_at: datetime | None = None


@dataclass
class Config:
    id: UUID
    channel: str
    provider_type: str
    priority: int = 0
    is_active: bool = True
    paused_until: datetime | None = None
    per_second: float | None = None
    tokens: float = 0.0
    refilled_at: datetime | None = None


@dataclass(frozen=True)
class Settings:
    time_zone: str = "UTC"
    quiet_from: time | None = None
    quiet_until: time | None = None
    caps: Sequence[Mapping[str, Any]] = ()
    from_address: str | None = None
    require_opt_in: bool = False
    marketing_paused: bool = False


@dataclass
class Message:
    """A row of the ledger. `campaign` and the others are the states of what it belongs to."""

    id: UUID
    channel: str
    message_class: str
    contact: UUID | None
    expires_at: datetime
    created_at: datetime
    to: str | None = None
    sender: str | None = None
    campaign: str | None = None
    campaign_sender: str | None = None
    execution: str | None = None
    journey: str | None = None
    job: UUID | None = None
    not_before: datetime | str | None = None
    state: str = "pending"
    claimed_at: datetime | None = None
    is_further_device: bool = False
    device: UUID | None = None
    possible_duplicate: bool = False
    config: UUID | None = None

    @property
    def is_marketing(self) -> bool:
        return self.message_class == "marketing"


@dataclass
class Organization:
    """Everything that the checks read, of one organization."""

    settings: Settings | None
    contacts: Mapping[UUID, Contact]
    devices: Mapping[UUID, Sequence[Device]]
    suppressions: Sequence[Suppression]
    verified_domains: frozenset[str]
    configs: Sequence[Config]
    messages: list[Message]
    permitted: Mapping[str, frozenset[str]]
    captures: bool

    def claim(self, message: Message, now: datetime) -> Result:
        """Check a message and, if it passes, count it as claimed."""
        result = self._checked(message, now)
        if result.state == "claimed":
            message.state, message.claimed_at = "claimed", now
        elif result.state == "skipped":
            message.state = "skipped"
        return result

    def _checked(self, message: Message, now: datetime) -> Result:
        settings = self.settings or Settings()
        contact = self.contacts.get(message.contact) if message.contact else None
        if message.expires_at <= now and message.not_before != FOREVER:
            return Result("skipped", "expired")
        if source := _source(message, settings):
            return source
        if message.contact is not None and contact is None:
            return Result("skipped", "unknown_contact")
        device = self._device(message)
        address = _address(message, contact, device)
        if address is None:
            return Result("skipped", "no_address")
        if self._is_suppressed(message, address, now):
            return Result("skipped", "suppressed")
        if contact and (status := _status(message, contact)):
            return Result("skipped", status)
        if message.is_marketing and not _consents(message, contact, settings):
            return Result("skipped", "no_consent")
        if self._is_duplicate(message, address):
            return Result("skipped", "duplicate_address")
        if self._is_capped(message, settings, now):
            return Result("skipped", "capped")
        if message.is_marketing and (until := _quiet_until(contact, settings, now)):
            return Result("deferred", "quiet_hours", until)
        if message.channel == "email" and not self._is_verified(message, settings):
            return Result("deferred", "unverified_sender", now + LATER)
        return self._by_provider(message, address, device, now)

    def _device(self, message: Message) -> Device | None:
        if message.channel != "push" or message.contact is None:
            return None
        own = sorted(self.devices.get(message.contact, ()), key=lambda device: device.id)
        fits = (d for d in own if d.is_active and message.device in (None, d.id))
        return next(fits, None)

    def _is_suppressed(self, message: Message, address: str, now: datetime) -> bool:
        return any(
            own.channel == message.channel
            and own.address == address
            and (own.scope == "all" or message.is_marketing)
            and (own.expires_at is None or own.expires_at > now)
            for own in self.suppressions
        )

    def _is_duplicate(self, message: Message, address: str) -> bool:
        return message.job is not None and any(
            other.job == message.job and other.to == address and other.state != "skipped"
            for other in self._others(message)
        )

    def _is_capped(self, message: Message, settings: Settings, now: datetime) -> bool:
        if not message.is_marketing or message.is_further_device or message.contact is None:
            return False
        return any(
            self._count(message, now - timedelta(hours=24 * cap["days"])) >= cap["most"]
            for cap in settings.caps
            if cap["channel"] == message.channel
        )

    def _count(self, message: Message, since: datetime) -> int:
        return sum(
            other.contact == message.contact
            and other.channel == message.channel
            and other.is_marketing
            and other.state != "skipped"
            and not other.is_further_device
            and other.claimed_at is not None
            and other.claimed_at > since
            for other in self._others(message)
        )

    def _others(self, message: Message) -> Iterable[Message]:
        return (other for other in self.messages if other.id != message.id)

    def _is_verified(self, message: Message, settings: Settings) -> bool:
        text = message.sender or message.campaign_sender or settings.from_address
        mailbox = parse_mailbox(text) if text else None
        return mailbox is not None and mailbox.address.split("@")[1] in self.verified_domains

    def _by_provider(
        self, message: Message, address: str, device: Device | None, now: datetime
    ) -> Result:
        active = [own for own in self.configs if own.channel == message.channel and own.is_active]
        usable = [own for own in active if self._is_usable(own, message, device, now)]
        if not usable:
            may_capture = self.captures and not active
            if may_capture and (not message.possible_duplicate or message.config is None):
                return Result("claimed", address=address)
            return Result("deferred", "no_provider", now + LATER)
        chosen = min(usable, key=lambda own: (-own.priority, own.id))
        return Result("claimed", address=address, config=chosen.id)

    def _is_usable(
        self, config: Config, message: Message, device: Device | None, now: datetime
    ) -> bool:
        return (
            (config.paused_until is None or config.paused_until <= now)
            and config.provider_type in self.permitted[message.message_class]
            and (device is None or config.provider_type == device.kind)
            and (not message.possible_duplicate or config.id == message.config)
        )


def within_rate(config: Config, wanted: int, now: datetime) -> int:
    """Return how many of the wanted messages the config lets pass now, and count them."""
    if config.per_second is None:
        return wanted
    most = max(config.per_second, 1.0)
    if config.refilled_at is None:
        available = most
    else:
        gained = config.per_second * (now - config.refilled_at).total_seconds()
        available = min(most, config.tokens + max(gained, 0.0))
    granted = min(wanted, int(available))
    config.tokens, config.refilled_at = available - granted, now
    return granted


def _source(message: Message, settings: Settings) -> Result | None:
    if message.campaign == "canceled":
        return Result("skipped", "campaign_canceled")
    if message.execution == "canceled":
        return Result("skipped", "execution_canceled")
    if message.campaign == "paused":
        return Result("deferred", "campaign_paused", FOREVER)
    if message.journey == "paused":
        return Result("deferred", "journey_paused", FOREVER)
    if message.is_marketing and settings.marketing_paused:
        return Result("deferred", "organization_paused", FOREVER)
    return None


def _address(message: Message, contact: Contact | None, device: Device | None) -> str | None:
    if message.channel == "push":
        return str(device.id) if device else None
    own = contact or Contact()
    text = own.email if message.channel == "email" else own.phone
    # A run has a copy of the contact's address. What follows an unknown call keeps its address.
    if message.to is not None and (message.job is None or message.possible_duplicate):
        text = message.to
    if text is None:
        return None
    return normalize_email(text) if message.channel == "email" else normalize_phone(text)


def _status(message: Message, contact: Contact) -> str | None:
    if contact.status == "do_not_contact":
        return "do_not_contact"
    if message.channel != "email":
        return None
    if contact.status == "bounced":
        return "bounced"
    is_out = contact.status == "unsubscribed" and message.is_marketing
    return "unsubscribed" if is_out else None


def _consents(message: Message, contact: Contact | None, settings: Settings) -> bool:
    custom = contact.custom_fields if contact else {}
    preferences = custom.get("_consent_preferences") or {}
    preference = preferences.get(message.channel)
    if preference is None:
        preference = message.channel != "sms"
    has_opted_in = custom.get("_consent_marketing_opt_in") is True
    return preference is True and (has_opted_in or not settings.require_opt_in)


def _quiet_until(contact: Contact | None, settings: Settings, now: datetime) -> datetime | None:
    start, end = settings.quiet_from, settings.quiet_until
    if start is None or end is None or start == end:
        return None
    zone = ZoneInfo((contact.time_zone if contact else None) or settings.time_zone)
    local = now.astimezone(zone)
    clock = local.time()
    wraps = start > end
    is_quiet = (clock >= start or clock < end) if wraps else start <= clock < end
    if not is_quiet:
        return None
    day = local.date() + timedelta(days=1 if wraps and clock >= start else 0)
    return max(datetime.combine(day, end, zone).astimezone(now.tzinfo), now + timedelta(minutes=1))
