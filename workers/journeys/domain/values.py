"""Values of criteria: numbers, times, ids and durations, each with the reason if it is none.

Every function raises ValueError with the end of a sentence about the value.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from journeys.domain.criteria import UNIT_S

DIGITS_MAX = 100
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
DAY = re.compile(r"(?:19|2[0-9])[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")
TIME_OF_DAY = re.compile(
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.][0-9]{1,6})?)?"
    r"(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])"
)
DAY_CHARS = 10


def text_of(value: Any) -> str:
    """Return a text; a number or a truth value as JSON writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return format(number_of(value), "f")
    if not isinstance(value, str):
        raise ValueError("is not a text")
    if value == "":
        raise ValueError("is empty: `is_set` and `is_not_set` ask for that")
    require_storable(value)
    return value


def require_storable(value: str) -> None:
    """Raise ValueError for characters that Postgres cannot store."""
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError("has a character that cannot be stored")


def number_of(value: Any) -> Decimal:
    """Return a number, also from a text."""
    if isinstance(value, str) and len(value) <= DIGITS_MAX and NUMBER.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("is not a number")
    found = Decimal(value)
    if found and (abs(found.adjusted()) > DIGITS_MAX or len(found.as_tuple().digits) > DIGITS_MAX):
        raise ValueError(f"has more than {DIGITS_MAX} digits")
    return found


def boolean_of(value: Any) -> bool:
    """Return a truth value, also from a text."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise ValueError("is neither true nor false")


def moment_of(value: Any) -> str:
    """Return the text of a time with an offset, or of a day."""
    if not isinstance(value, str) or not is_moment(value):
        raise ValueError(
            "is not a time: write 2026-03-01, or 2026-03-01T09:30:00Z, of the years 1900 to 2999"
        )
    return value


def is_moment(value: str) -> bool:
    """Return whether a text is a day of the calendar, alone or with a time and an offset."""
    day, rest = value[:DAY_CHARS], value[DAY_CHARS:]
    if not DAY.fullmatch(day) or (rest and not TIME_OF_DAY.fullmatch(rest)):
        return False
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True


def instant(value: str) -> datetime:
    """Return the time of a text with an offset."""
    return datetime.fromisoformat(value)


def id_of(value: Any) -> str:
    """Return an id in its usual form."""
    if isinstance(value, str):
        try:
            return str(UUID(value))
        except ValueError:
            pass
    raise ValueError("is not an id")


def span_of(value: Any, longest_s: int) -> int:
    """Return the seconds of a duration such as {"n": 30, "unit": "day"}."""
    example = 'is not a duration such as {"n": 30, "unit": "day"}'
    if not isinstance(value, dict) or set(value) != {"n", "unit"}:
        raise ValueError(example)
    n, unit = value["n"], value["unit"]
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError("has an `n` that is not a whole number above 0")
    if not isinstance(unit, str) or unit not in UNIT_S:
        raise ValueError(f"has a unit other than {', '.join(UNIT_S)}")
    if n * UNIT_S[unit] > longest_s:
        raise ValueError(f"is longer than {longest_s // UNIT_S['day']:,} days")
    return n * UNIT_S[unit]
