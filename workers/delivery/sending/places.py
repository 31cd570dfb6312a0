"""Places of the warm-up: reserved before a call, given back if there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from delivery.domain.claims import Claimed, Place
from delivery.store import claims
from shared.errors import StorageError
from shared.ports import Ports
from shared.warmup.caps import COUNTERS
from shared.warmup.counters import WarmingDomain, WarmupCounters

BUSY = timedelta(seconds=60)  # R2 has no answer: the messages come again
JITTER = timedelta(minutes=30)

Places = Mapping[Place, int]


async def reserve(claimed: Sequence[Claimed], ports: Ports) -> list[Claimed]:
    """Return the messages that may be called today: those of a warming domain have a place.

    The oldest get the places that are left; the others are deferred to the next day. A place is
    committed before its call.
    """
    now = ports.clock()
    asking: dict[WarmingDomain, list[Claimed]] = {}
    for own in claimed:
        domain = domain_of(own)
        day = now.astimezone(UTC).date()
        if domain and domain.cap(day) is not None and own.warmup_day != day:
            asking.setdefault(domain, []).append(own)
    if not asking:
        return list(claimed)
    untils: dict[UUID, datetime | None] = {}
    for domain, messages in asking.items():
        untils |= await _of_domain(domain, messages, now, ports)
    asked = [own for own in claimed if own.id in untils]
    kept, _ = claims.set_places(ports.db, asked, [untils[own.id] for own in asked], "warmup", now)
    return [own for own in claimed if own.id not in untils or own.id in kept]


async def _of_domain(
    domain: WarmingDomain, messages: Sequence[Claimed], now: datetime, ports: Ports
) -> dict[UUID, datetime | None]:
    """Return when each message is tried again; None for those with a place."""
    try:
        granted = await _counters(ports).reserve(domain, now.astimezone(UTC).date(), len(messages))
    except StorageError as error:
        if error.status != 429:
            ports.log("warmup.unavailable", level="warning", count=len(messages), error=str(error))
        return {own.id: now + BUSY for own in messages}
    oldest = sorted(messages, key=lambda own: (own.waiting.created_at, own.id))
    tomorrow = claims.next_midnight(now)
    untils: dict[UUID, datetime | None] = {own.id: None for own in oldest[:granted]}
    for own in oldest[granted:]:
        untils[own.id] = tomorrow + JITTER * ports.random()
    return untils


async def give_back(places: Places, ports: Ports) -> None:
    """Release places after the commit that decided it. A failure loses them, and no more."""
    for (organization_id, domain, created_at, day), count in places.items():
        try:
            warming = WarmingDomain(organization_id, domain, created_at)
            await _counters(ports).release(warming, day, count)
        except StorageError as error:
            ports.log("warmup.unavailable", level="warning", count=count, error=str(error))


def places_of(claimed: Iterable[Claimed], decided_at: datetime) -> dict[Place, int]:
    """Count the places that messages had on the day of the decision, by domain."""
    day = decided_at.astimezone(UTC).date()
    places: dict[Place, int] = {}
    for own in claimed:
        domain = domain_of(own)
        if domain and domain.cap(day) is not None:
            key = (domain.organization_id, domain.domain, domain.created_at, day)
            places[key] = places.get(key, 0) + 1
    return places


def domain_of(own: Claimed) -> WarmingDomain | None:
    """Return the sending domain of an e-mail."""
    domain, created_at = own.waiting.sender_domain, own.decision.domain_created_at
    if domain is None or created_at is None:
        return None
    return WarmingDomain(own.waiting.organization_id, domain, created_at)


def _counters(ports: Ports) -> WarmupCounters:
    return WarmupCounters(ports.bucket(COUNTERS.binding), ports.clock, ports.random)
