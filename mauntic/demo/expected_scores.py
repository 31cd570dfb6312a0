"""What the retailer's customers must score, worked out from the file in plain Python.

Like `counted.py` it says a second time what a row means, so that a mistake in either shows: the
mapping in `sql/scores.sql`, the workers' formulas, or this.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from math import exp, floor
from uuid import UUID, uuid5

from mauntic.demo.expected import MAILED_ON, events_of
from mauntic.demo.importer import NAMESPACE, rows_of

# By the digit that the spending of a year begins with: "1) $0 - $100" up to "7) $1,000 +".
SPENDING_POINTS = {"1": 5, "2": 5, "3": 10, "4": 10, "5": 15, "6": 15, "7": 15}
CHANNEL_POINTS = {"Multichannel": 20, "Web": 10, "Phone": 5}
KNOWN_POINTS = 10  # whoever is no newcomer has a number on file
ACTIVE_POINTS = 10  # opened, clicked and visited
VISIT_POINTS = 5
PURCHASE_POINTS = 30
WEEK_H = 168


def scores_from_file(t: datetime) -> dict[UUID, int]:
    """Every customer's score at `t`, by the id of the contact."""
    return {
        uuid5(NAMESPACE, f"hillstrom/customer/{number}"): score_of(number, row, t)
        for number, row in enumerate(rows_of("hillstrom.csv.gz"))
    }


def score_of(number: int, row: dict[str, str], t: datetime) -> int:
    """One row's score."""
    fit = SPENDING_POINTS[row["history_segment"][0]] + CHANNEL_POINTS[row["channel"]]
    fit += KNOWN_POINTS if row["newbie"] == "0" else 0
    is_active = row["visit"] == "1" and row["segment"] != "No E-Mail"
    midnight = datetime.combine(MAILED_ON, time(), UTC)
    left = {
        kind: (t - midnight - timedelta(seconds=seconds)) / timedelta(hours=1)
        for kind, seconds in events_of(number, row)
    }
    intent = _visit(left.get("page_visited")) + _purchase(left.get("conversion"))
    return min(100, fit + (ACTIVE_POINTS if is_active else 0) + floor(intent + 0.5))


def grade_of(score: int) -> str:
    """The grade of a score.

    >>> [grade_of(score) for score in (100, 80, 79, 40, 20, 19)]
    ['A', 'A', 'B', 'C', 'D', 'F']
    """
    return "FDCBA"[min(4, score // 20)]


def _visit(age_h: float | None) -> float:
    return VISIT_POINTS * max(0.0, 1 - age_h / WEEK_H) if age_h is not None else 0.0


def _purchase(age_h: float | None) -> float:
    if age_h is None or age_h >= WEEK_H:
        return 0.0
    return PURCHASE_POINTS * exp(-3 * age_h / WEEK_H)
