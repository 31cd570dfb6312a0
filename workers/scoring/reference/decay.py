"""The decay of a signal's weight. Pure.

Decay is a function of the signal's detection time and the time of the score; stored values are
never multiplied. `sql/parts/score.sql` computes the same over sets.
"""

from __future__ import annotations

from datetime import datetime
from math import exp

SECONDS_AN_HOUR = 3_600


def age_h(detected_at: datetime, t: datetime) -> float:
    """Return the hours from `detected_at` to `t`; negative if it is in the future.

    >>> from datetime import UTC
    >>> age_h(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, 6, tzinfo=UTC))
    30.0
    """
    passed = t - detected_at
    seconds = (passed.seconds * 1_000_000 + passed.microseconds) / 1e6 + passed.days * 86_400
    return seconds / SECONDS_AN_HOUR


def decay(model: str, age: float, hours: float) -> float:
    """Return the remaining share of a signal after `age` of `hours` hours, from 1 to 0.

    >>> decay("linear", 42, 168), decay("step", 84, 168), decay("exponential", 168, 168)
    (0.75, 0.5, 0.0)
    """
    if age < 0 or age >= hours:
        return 0.0
    if model == "linear":
        return 1 - age / hours
    if model == "exponential":
        return exp(-3 * age / hours)
    return _step(age, hours)


def _step(age: float, hours: float) -> float:
    if age < 0.5 * hours:
        return 1.0
    return 0.5 if age < 0.75 * hours else 0.25
