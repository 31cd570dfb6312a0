"""The daily caps of a new domain, and the names of their counters. Pure."""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise

from shared.bindings import R2Bucket

# Every worker that uses the counters declares this bucket.
COUNTERS = R2Bucket("WARMUP_R2", "mauntic-warmup-counters")
PREFIX = "warmup/daily/"
_UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
COUNTER_KEY = re.compile(
    rf"{PREFIX}(?P<day>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})/(?P<organization>{_UUID})/(?P<domain>[^/\0]+)(?:/.*)?",
    re.DOTALL,
)
UNDATED_KEY = re.compile(rf"{PREFIX}(?P<organization>{_UUID})/(?P<domain>[^/\0]+)")

WARMUP_DAYS = 30
# Day of warm-up (1 is the day on which the domain was created) and messages of that day; linear in
# between.
CAPS = (
    (1, 50), (2, 100), (3, 250), (4, 500), (5, 1_000), (7, 2_500), (10, 5_000), (14, 10_000),
    (21, 25_000), (30, 50_000),
)  # fmt: skip

# A slice has room for the largest batch of a queue, so that a batch is one write. More slices than
# these would serve more than 16 batches a second of one domain.
SLICE_MIN = 100
SLICES_MAX = 16


def cap(warmup_day: int) -> int | None:
    """Return the cap of a day of warm-up; None means no cap.

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
    """Split the cap into slices of nearly equal size.

    >>> slices(50), slices(250), len(slices(50_000))
    ([50], [125, 125], 16)
    """
    parts = max(1, min(SLICES_MAX, most // SLICE_MIN))
    return [most // parts + (1 if index < most % parts else 0) for index in range(parts)]


def day_of(text: str) -> date | None:
    """Return the day in the text, or None if it is not a valid day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
