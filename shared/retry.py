"""Delays before retries. Pure."""

from __future__ import annotations

from collections.abc import Callable

FIRST_CEILING_S = 10
CEILING_MAX_S = 900
DOUBLINGS_MAX = 16  # every delay has reached its maximum by then
# While Postgres is down the dead letters wait, up to half a day per retry: 100 retries last longer
# than the fourteen days that the queue keeps them.
ARCHIVE_FIRST_S = 30
ARCHIVE_MAX_S = 43_200


def ceiling_s(attempts: int) -> int:
    """Return the longest delay after the `attempts`-th delivery: min(900, 10·2^(n−1)).

    >>> [ceiling_s(n) for n in (1, 2, 3, 7, 8, 100)]
    [10, 20, 40, 640, 900, 900]
    """
    return min(CEILING_MAX_S, FIRST_CEILING_S * int(2 ** min(attempts - 1, DOUBLINGS_MAX)))


def delay_s(attempts: int, random: Callable[[], float]) -> int:
    """Return a random delay up to the ceiling ("full jitter").

    `random` returns a number in [0, 1). Source of the curve: Marc Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015.

    >>> delay_s(3, lambda: 0.5), delay_s(100, lambda: 0.0)
    (20, 0)
    """
    return round(random() * ceiling_s(attempts))


def archive_delay_s(attempts: int) -> int:
    """Return the delay of a dead letter that could not be archived `attempts` times.

    >>> [archive_delay_s(n) for n in (1, 2, 3, 11, 12, 100)]
    [30, 60, 120, 30720, 43200, 43200]
    """
    return min(ARCHIVE_MAX_S, ARCHIVE_FIRST_S * int(2 ** min(attempts - 1, DOUBLINGS_MAX)))
