"""The clock of one invocation."""

from __future__ import annotations

from datetime import datetime, timedelta
from time import monotonic


class InvocationClock:
    """Reads the wall clock once, then adds what the monotonic clock measures.

    On the vendor's runtime each reading of the wall clock within a millisecond returns a
    millisecond more, and a later one may return less. The monotonic clock does neither, so measured
    durations are correct and never negative.
    """

    def __init__(self, started: datetime) -> None:
        self._started, self._from_s = started, monotonic()

    def __call__(self) -> datetime:
        return self._started + timedelta(seconds=monotonic() - self._from_s)
