"""Concurrent senders at the counters of one domain, for any Bucket, on the host and in a worker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime

from shared.errors import StorageError
from shared.ports import Bucket
from shared.warmup.counters import WarmingDomain, WarmupCounters


async def granted_to_many(
    bucket: Bucket,
    clock: Callable[[], datetime],
    domain: WarmingDomain,
    sizes: list[int],
    patience_s: float = 30,
) -> list[int]:
    """Return the grants of concurrent reservations; -1 for one that gave up."""

    async def reserve(n: int) -> int:
        counters = WarmupCounters(bucket, clock, random.random, patience_s=patience_s)
        try:
            return await counters.reserve(domain, clock().date(), n)
        except StorageError:
            return -1

    return list(await asyncio.gather(*(reserve(n) for n in sizes)))


async def booked(bucket: Bucket, clock: Callable[[], datetime], domain: WarmingDomain) -> int:
    """Return the counters' sum; repeat the request if R2 fails."""
    counters = WarmupCounters(bucket, clock, random.random)
    while True:
        try:
            return await counters.sent_today(domain, clock().date())
        except StorageError:
            await asyncio.sleep(0.1)
