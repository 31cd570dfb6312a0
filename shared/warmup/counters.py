"""The counters in R2 that limit a new domain to its daily cap, for senders.

A day's cap is split into slices, one object each, whose sum is the cap: no slice ever exceeds its
own limit, so their sum never exceeds the cap. Only conditional writes change an object. If the
answer to a write is lost, its nonce in the object shows whether it was done; if that is no longer
visible, it counts as used. So a day may send fewer messages than its cap, and never more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from shared.errors import StorageError
from shared.ports import Bucket
from shared.warmup.caps import PREFIX, cap, slices

# R2 accepts one write per second and key: https://developers.cloudflare.com/r2/platform/limits/
WRITE_INTERVAL_S = 1.0
# The number of writes after which a lost answer can still be resolved.
NONCES_KEPT = 16
TRIES_AT_ONCE = 3


@dataclass(frozen=True)
class WarmingDomain:
    """A sending domain. Its warm-up begins on the day (UTC) of `created_at`, verified or not."""

    organization_id: UUID
    domain: str
    created_at: datetime

    def cap(self, day: date) -> int | None:
        """Return the cap of `day`; None means no cap."""
        return cap((day - self.created_at.astimezone(UTC).date()).days + 1)

    def slots(self, day: date) -> list[Slot]:
        """Return the counters of `day`; none after the warm-up."""
        most = self.cap(day)
        stem = f"{PREFIX}{day.isoformat()}/{self.organization_id}/{self.domain.lower()}"
        limits = slices(most) if most is not None else []
        return [Slot(f"{stem}/{index:02}", limit) for index, limit in enumerate(limits)]


@dataclass
class Slot:
    """One counter, as one caller knows it.

    `unanswered` are the caller's writes that may have been done, by nonce. `lost` means that the
    last write got no answer at all, so it may even be done later.
    """

    key: str
    limit: int
    closed: bool = False
    unanswered: dict[str, int] = field(default_factory=dict)
    lost: bool = False

    def recognized(self, content: Content) -> int:
        """Return the amount of an unanswered write that was done; the others never will be."""
        amounts = [self.unanswered[nonce] for nonce in content.nonces if nonce in self.unanswered]
        if amounts:
            self.settle()
        return sum(amounts)

    def given_up(self) -> int:
        """Return the amount that may have been released: it counts as released, and is never
        released again.
        """
        amount = sum(self.unanswered.values()) if self.lost else 0
        self.closed = self.closed or self.lost
        self.settle()
        return amount

    def doubtful(self) -> int:
        """Return the same for writes that could not be resolved: another slot must not release it
        again.
        """
        amount = sum(self.unanswered.values())
        self.closed = self.closed or amount > 0
        self.settle()
        return amount

    def settle(self) -> None:
        """Clear the unresolved writes."""
        self.unanswered.clear()
        self.lost = False


@dataclass(frozen=True)
class Content:
    """The content of a counter object. The newest nonce is last and gives each content another
    etag.
    """

    used: int = 0
    nonces: tuple[str, ...] = ()
    written_at: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Content:
        fields = json.loads(text)
        return cls(int(fields["used"]), tuple(fields["nonces"]), float(fields["writtenAt"]))

    def text(self) -> str:
        return json.dumps({"used": self.used, "nonces": self.nonces, "writtenAt": self.written_at})

    def changed(self, amount: int, nonce: str, at: float) -> Content:
        kept = (*self.nonces, nonce)[-NONCES_KEPT:]
        return replace(self, used=self.used + amount, nonces=kept, written_at=at)


class WarmupCounters:
    """The counters in a bucket.

    `patience_s` is the time that a call waits for counters that others are writing. `random`
    returns numbers in [0, 1), `nonce` a unique text.
    """

    def __init__(
        self,
        bucket: Bucket,
        clock: Callable[[], datetime],
        random: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        nonce: Callable[[], str] = lambda: uuid4().hex,
        patience_s: float = 30.0,
    ) -> None:
        self._bucket = bucket
        self._clock = clock
        self._random = random
        self._sleep = sleep
        self._nonce = nonce
        self._patience_s = patience_s

    async def reserve(self, domain: WarmingDomain, day: date, n: int) -> int:
        """Reserve up to `n` messages on `day` and return their number; 0 if the cap is used up.

        One conditional write, if the first slice has room for all. A past day grants nothing,
        because its counters may be deleted. Raises StorageError (429) if other senders won every
        attempt.
        """
        if n <= 0 or domain.cap(day) is None:
            return max(n, 0)
        return await self._change(domain.slots(day), day, n)

    async def release(self, domain: WarmingDomain, day: date, n: int) -> int:
        """Release reserved messages that were not sent. At most this number can be reserved again:
        a write whose answer is lost and cannot be resolved is not repeated.
        """
        if n <= 0 or domain.cap(day) is None:
            return 0
        return await self._change(domain.slots(day), day, -n)

    async def sent_today(self, domain: WarmingDomain, day: date) -> int:
        """Return the number of messages reserved for `day`; 0 after the warm-up, when nothing is
        counted.
        """
        found = [await self._bucket.get(slot.key) for slot in domain.slots(day)]
        return sum(Content.parse(item[0]).used for item in found if item)

    async def _change(self, slots: list[Slot], day: date, wanted: int) -> int:
        """Book `wanted` (negative: release) over the slots, in rounds. Return the booked amount."""
        shift = int(self._random() * len(slots))
        slots, done, failure = (
            slots[shift:] + slots[:shift],
            0,
            StorageError(429, "the counters are busy"),
        )
        give_up_at = self._now() + self._patience_s
        while True:
            for slot in slots:
                try:
                    done += await self._try(slot, day, abs(wanted) - done, giving=wanted < 0)
                except StorageError as error:
                    if error.status < 500 and error.status != 429:
                        raise
                    failure = error
                if wanted < 0:
                    done += slot.doubtful()
                if done >= abs(wanted):
                    return abs(wanted)
            if all(slot.closed for slot in slots):
                return done
            if self._now() >= give_up_at:
                break
            await self._sleep(WRITE_INTERVAL_S * (0.5 + self._random()))
        if done:
            return done
        raise failure

    async def _try(self, slot: Slot, day: date, wanted: int, *, giving: bool) -> int:
        """Return the part of `wanted` that this slot granted; 0 if it is busy (or has closed).

        A lost answer is resolved at once, before another slot is tried.
        """
        for _ in range(TRIES_AT_ONCE):
            if slot.closed:
                return 0
            before = len(slot.unanswered)
            done = await self._try_once(slot, day, wanted, giving=giving)
            if done or len(slot.unanswered) == before:
                return done
        return 0

    async def _try_once(self, slot: Slot, day: date, wanted: int, *, giving: bool) -> int:
        found = await self._bucket.get(slot.key)
        content = Content.parse(found[0]) if found else Content()
        if recognized := slot.recognized(content):
            return recognized
        if giving and (given := slot.given_up()):
            return given
        if not slot.lost:  # refused, and not found: never done
            slot.settle()
        room = content.used if giving else slot.limit - content.used
        slot.closed = room <= 0 or day < self._clock().astimezone(UTC).date()
        if slot.closed or 0 <= self._now() - content.written_at < WRITE_INTERVAL_S:
            return 0
        amount = min(wanted, room)
        written = content.changed(-amount if giving else amount, self._nonce(), self._now())
        done = await self._put(slot, found[1] if found else None, written, amount)
        slot.closed = done == room
        return done

    async def _put(self, slot: Slot, etag: str | None, content: Content, amount: int) -> int:
        """Write if the object is unchanged. A refused write also counts as unanswered: if the
        platform repeated a write, the second one is refused although the first was done.
        """
        slot.unanswered[content.nonces[-1]] = amount
        try:
            answer = await self._bucket.put(
                slot.key, content.text(), if_etag=etag, if_absent=etag is None
            )
        except StorageError as error:
            slot.lost = error.status >= 500
            if not slot.lost:  # refused, hence not done
                del slot.unanswered[content.nonces[-1]]
            if error.status < 500 and error.status != 429:
                raise
            return 0
        if answer is None:
            return 0
        slot.settle()
        return amount

    def _now(self) -> float:
        return self._clock().timestamp()
