"""The expected scores of the retailer's customers, computed from the file in plain Python.

Like `expected.py` this module repeats the meaning of a row, so that a mistake is found in any of
the three: the mapping in `sql/scores.sql`, the workers' formulas, or this module.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from math import exp, floor
from uuid import UUID, uuid5

from mauntic.demo.expected import MAILED_ON, events_of
from mauntic.demo.importer import NAMESPACE, rows_of

# By the first digit of the year's spending: "1) $0 - $100" up to "7) $1,000 +".
SPENDING_POINTS = {"1": 5, "2": 5, "3": 10, "4": 10, "5": 15, "6": 15, "7": 15}
CHANNEL_POINTS = {"Multichannel": 20, "Web": 10, "Phone": 5}
KNOWN_POINTS = 10  # customers who are not new have a phone number
ACTIVE_POINTS = 10  # opened, clicked and visited
VISIT_POINTS = 5
PURCHASE_POINTS = 30
WEEK_H = 168


def scores_from_file(t: datetime) -> dict[UUID, int]:
    """Return every customer's score at `t`, by contact id."""
    return {
        uuid5(NAMESPACE, f"hillstrom/customer/{number}"): score_of(number, row, t)
        for number, row in enumerate(rows_of("hillstrom.csv.gz"))
    }


def score_of(number: int, row: dict[str, str], t: datetime) -> int:
    """Return the score of one row."""
    fit = SPENDING_POINTS[row["history_segment"][0]] + CHANNEL_POINTS[row["channel"]]
    fit += KNOWN_POINTS if row["newbie"] == "0" else 0
    is_active = row["visit"] == "1" and row["segment"] != "No E-Mail"
    midnight = datetime.combine(MAILED_ON, time(), UTC)
    left = {
        event_type: (t - midnight - timedelta(seconds=seconds)) / timedelta(hours=1)
        for event_type, seconds in events_of(number, row)
    }
    intent = _visit(left.get("page_visited")) + _purchase(left.get("conversion"))
    return min(100, fit + (ACTIVE_POINTS if is_active else 0) + floor(intent + 0.5))


def grade_of(score: int) -> str:
    """Return the grade of a score.

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
