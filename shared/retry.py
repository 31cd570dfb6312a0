"""How long to wait before the next try. Pure."""

from __future__ import annotations

from collections.abc import Callable

FIRST_CEILING_S = 10
CEILING_MAX_S = 900


def ceiling_s(attempts: int) -> int:
    """The longest delay after the `attempts`-th delivery (1 is the first): min(900, 10·2^(n−1)).

    >>> [ceiling_s(n) for n in (1, 2, 3, 7, 8, 100)]
    [10, 20, 40, 640, 900, 900]
    """
    return min(CEILING_MAX_S, FIRST_CEILING_S * int(2 ** min(attempts - 1, 10)))


def delay_s(attempts: int, random: Callable[[], float]) -> int:
    """A delay drawn evenly up to the ceiling ("full jitter").

    `random` gives a number in [0, 1). Source of the curve: Marc Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015.

    >>> delay_s(3, lambda: 0.5), delay_s(100, lambda: 0.0)
    (20, 0)
    """
    return round(random() * ceiling_s(attempts))
