"""How much a new domain may send a day, and what the counters of that are called. Pure."""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise

from shared.bindings import R2Bucket

# Every worker that reads or counts warm-up declares this bucket.
COUNTERS = R2Bucket("WARMUP_R2", "mauntic-warmup-counters")
PREFIX = "warmup/daily/"
_UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
COUNTER_KEY = re.compile(
    rf"{PREFIX}(?P<day>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})/(?P<organization>{_UUID})/(?P<domain>[^/\0]+)(?:/.*)?",
    re.DOTALL,
)
UNDATED_KEY = re.compile(rf"{PREFIX}(?P<organization>{_UUID})/(?P<domain>[^/\0]+)")

WARMUP_DAYS = 30
# Day of warm-up (1 is the day on which the domain was created) and messages of that day; straight
# lines between.
CAPS = (
    (1, 50), (2, 100), (3, 250), (4, 500), (5, 1_000), (7, 2_500), (10, 5_000), (14, 10_000),
    (21, 25_000), (30, 50_000),
)  # fmt: skip

# A slice takes the largest batch of a queue, so that a batch is one write; more slices than these
# would serve more than 16 batches a second of one domain.
SLICE_MIN = 100
SLICES_MAX = 16


def cap(warmup_day: int) -> int | None:
    """How many messages may be sent on that day of warm-up; None is as many as one likes.

    >>> [cap(day) for day in (1, 6, 7, 8, 12, 30, 31)]
    [50, 1750, 2500, 3333, 7500, 50000, None]
    """
    if warmup_day < 1:
        raise ValueError(f"the first day of warm-up is 1, there is no day {warmup_day}")
    for (day, most), (later, more) in pairwise(CAPS):
        if warmup_day <= later:
            return most + (more - most) * (warmup_day - day) // (later - day)
    return None


def slices(most: int) -> list[int]:
    """The cap, cut into parts as equal as can be.

    >>> slices(50), slices(250), len(slices(50_000))
    ([50], [125, 125], 16)
    """
    parts = max(1, min(SLICES_MAX, most // SLICE_MIN))
    return [most // parts + (1 if index < most % parts else 0) for index in range(parts)]


def day_of(text: str) -> date | None:
    """The day that the text names, if there is such a day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
