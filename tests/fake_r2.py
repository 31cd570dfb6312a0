"""R2 in memory, which refuses what R2 refuses and fails on request; and a simulated clock."""

from __future__ import annotations

import asyncio
import hashlib
import selectors
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

from shared.errors import StorageError
from shared.ports import StoredObject

KEYS_MAX = 1_000
KEY_BYTES_MAX = 1_024
WRITE_INTERVAL_S = 1.0
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)  # when objects were written that a test has put there

# What may go wrong with a call: refused; failed before it was done; failed after it was done;
# failed and done later; and done, but repeated on its way, so that its condition no longer holds
# and the answer is None.
Fault = Literal["429", "500", "lost", "late", "none"]
LATE_S = 2.5
Faults = Callable[[str, str], "Fault | None"]


class FakeR2:
    """A Bucket. `faults(operation, key)` says what goes wrong with a call, `latency()` how long one
    takes in each direction (s)."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        faults: Faults = lambda operation, key: None,
        latency: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.objects: dict[str, tuple[str, str]] = {}
        self.written_at: dict[str, datetime] = {}
        self.calls: list[tuple[str, int]] = []  # operation, number of keys
        self.refusals = 0
        self.faults = faults
        self._clock = clock
        self._latency = latency

    async def get(self, key: str) -> tuple[str, str] | None:
        await self._begin("get", [key])
        found = self.objects.get(key)
        await asyncio.sleep(self._latency())
        return found

    async def put(
        self, key: str, text: str, *, if_etag: str | None = None, if_absent: bool = False
    ) -> str | None:
        fault = await self._begin("put", [key])
        if len(key.encode()) > KEY_BYTES_MAX:
            raise StorageError(400, "the key is too long")
        if fault == "late":
            asyncio.get_running_loop().call_later(
                LATE_S, self._write_late, key, text, if_etag, if_absent
            )
            raise StorageError(500, "We encountered an internal error. (10001)")
        etag = self._write(key, text, if_etag, if_absent)
        await asyncio.sleep(self._latency())
        if fault == "lost":
            raise StorageError(500, "We encountered an internal error. (10001)")
        return None if fault == "none" else etag

    async def list(
        self, prefix: str, cursor: str | None = None
    ) -> tuple[list[StoredObject], str | None]:
        await self._begin("list", [prefix])
        keys = sorted(
            key for key in self.objects if key.startswith(prefix) and key > (cursor or "")
        )
        page = keys[:KEYS_MAX]
        found = [StoredObject(key, self.written_at.get(key, LONG_AGO)) for key in page]
        return found, page[-1] if len(keys) > KEYS_MAX else None

    async def delete(self, keys: Sequence[str]) -> None:
        if len(keys) > KEYS_MAX:
            raise StorageError(400, f"a delete is at most {KEYS_MAX} keys")
        await self._begin("delete", keys)
        for key in keys:
            self.objects.pop(key, None)

    async def _begin(self, operation: str, keys: Sequence[str]) -> Fault | None:
        self.calls.append((operation, len(keys)))
        fault = self.faults(operation, keys[0] if keys else "")
        await asyncio.sleep(self._latency())
        if fault == "429":
            raise StorageError(429, "Reduce your rate of requests. (10058)")
        if fault == "500":
            raise StorageError(500, "We encountered an internal error. (10001)")
        return fault

    def _write_late(self, key: str, text: str, if_etag: str | None, if_absent: bool) -> None:
        with suppress(StorageError):
            self._write(key, text, if_etag, if_absent)

    def _write(self, key: str, text: str, if_etag: str | None, if_absent: bool) -> str | None:
        now, before = self._clock(), self.written_at.get(key)
        if before is not None and now - before < timedelta(seconds=WRITE_INTERVAL_S):
            self.refusals += 1
            raise StorageError(
                429, "Reduce your rate of simultaneous writes on the same object. (10058)"
            )
        found = self.objects.get(key)
        if (if_absent and found) or (
            if_etag is not None and (found is None or found[1] != if_etag)
        ):
            return None
        etag = hashlib.md5(text.encode()).hexdigest()
        self.objects[key] = (text, etag)
        self.written_at[key] = now
        return etag


class _Skip(selectors.DefaultSelector):
    """Never waits: the loop's time jumps to the next due call."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        self.loop.elapsed_s += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose sleeps end at once, in the right order."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        selector = _Skip()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.elapsed_s


Answer = TypeVar("Answer")


def run_virtually(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run `work` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def virtual_clock(start: datetime = datetime(2026, 3, 10, 9, tzinfo=UTC)) -> Callable[[], datetime]:
    """The time in a running virtual loop."""
    return lambda: start + timedelta(seconds=asyncio.get_running_loop().time())
