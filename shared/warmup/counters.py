"""The counters over R2 that hold a new domain to what it may send a day. For whoever sends.

A day's cap is cut into slices, one object each, whose sum is the cap: whatever happens, no slice
passes its own limit, so no sum of them passes the cap. Only conditional writes change an object.
Where the answer to a write was lost, its nonce in the object tells whether it was done; where that
cannot be told any more it counts as used. So a day may send less than its cap, and never more.
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

# R2 takes one write a second to a key: https://developers.cloudflare.com/r2/platform/limits/
WRITE_INTERVAL_S = 1.0
# So many writes back, a lost answer can still be told from a lost write.
NONCES_KEPT = 16
TRIES_AT_ONCE = 3


@dataclass(frozen=True)
class WarmingDomain:
    """A sending domain. Its warm-up begins on the day (UTC) of `created_at`, verified or not."""

    organization_id: UUID
    domain: str
    created_at: datetime

    def cap(self, day: date) -> int | None:
        """What may be sent on `day`; None is as much as one likes."""
        return cap((day - self.created_at.astimezone(UTC).date()).days + 1)

    def slots(self, day: date) -> list[Slot]:
        """The counters of `day`, none where nothing is counted."""
        most = self.cap(day)
        stem = f"{PREFIX}{day.isoformat()}/{self.organization_id}/{self.domain.lower()}"
        limits = slices(most) if most is not None else []
        return [Slot(f"{stem}/{index:02}", limit) for index, limit in enumerate(limits)]


@dataclass
class Slot:
    """One counter as one caller sees it.

    `unanswered` are the caller's writes that may have been done, by nonce; `lost` says that no
    answer came to the last of them at all, so that it may even be done later.
    """

    key: str
    limit: int
    closed: bool = False
    unanswered: dict[str, int] = field(default_factory=dict)
    lost: bool = False

    def recognized(self, content: Content) -> int:
        """The amount of an unanswered write that was done after all; the others never will be."""
        amounts = [self.unanswered[nonce] for nonce in content.nonces if nonce in self.unanswered]
        if amounts:
            self.settle()
        return sum(amounts)

    def given_up(self) -> int:
        """The amount that was perhaps given back: counted as if it were, and never given again."""
        amount = sum(self.unanswered.values()) if self.lost else 0
        self.closed = self.closed or self.lost
        self.settle()
        return amount

    def doubtful(self) -> int:
        """The same for what nobody could be asked about: another slot must not give it again."""
        amount = sum(self.unanswered.values())
        self.closed = self.closed or amount > 0
        self.settle()
        return amount

    def settle(self) -> None:
        """Nothing is open any more."""
        self.unanswered.clear()
        self.lost = False


@dataclass(frozen=True)
class Content:
    """What a counter object holds. The newest nonce, last, makes each content another etag."""

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

    `patience_s` is how long a call waits for counters that others are writing. `random` gives
    numbers in [0, 1), `nonce` a text that nobody else has.
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
        """How many of `n` messages may be sent on `day`, now booked. 0: the day has none left.

        One conditional write, where the first slice has room for all. A day that is over gives
        nothing: its counters may be gone. StorageError (429) where others were always faster.
        """
        if n <= 0 or domain.cap(day) is None:
            return max(n, 0)
        return await self._change(domain.slots(day), day, n)

    async def release(self, domain: WarmingDomain, day: date, n: int) -> int:
        """Give back what was reserved and not sent. At most so much of it may be reserved again:
        where the answer to a write was lost and cannot be found, it is not given back twice."""
        if n <= 0 or domain.cap(day) is None:
            return 0
        return await self._change(domain.slots(day), day, -n)

    async def sent_today(self, domain: WarmingDomain, day: date) -> int:
        """How many messages are booked for `day`; 0 after the warm-up, when nothing is counted."""
        found = [await self._bucket.get(slot.key) for slot in domain.slots(day)]
        return sum(Content.parse(one[0]).used for one in found if one)

    async def _change(self, slots: list[Slot], day: date, wanted: int) -> int:
        """Book `wanted` (negative: give back) over the slots, in rounds. How much was booked."""
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
        """How much of `wanted` this slot gave; 0 where it is busy (or has closed).

        An answer that was lost is asked for again at once, before another slot is tried.
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
        if not slot.lost:  # refused, and not there: never done
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
        """Write if nobody else has. A refusal is kept as unanswered too: a write that was repeated
        on its way is refused the second time, though it was done the first."""
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
