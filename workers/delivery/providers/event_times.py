"""Times in the events of providers: ISO 8601, or seconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def time_of(value: Any, otherwise: datetime) -> datetime:
    """Return the time in UTC; `otherwise` if it cannot be read, or is in no year from 1 to 9999.

    >>> from datetime import UTC, datetime
    >>> time_of("2026-03-01T12:00:00.123Z", datetime.now(UTC)).isoformat()
    '2026-03-01T12:00:00.123000+00:00'
    >>> time_of(1_772_366_400, datetime.now(UTC)).isoformat()
    '2026-03-01T12:00:00+00:00'
    """
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        found = datetime.fromisoformat(value)
        return utc(found if found.tzinfo else found.replace(tzinfo=UTC), otherwise)
    except (TypeError, ValueError, OverflowError, OSError):
        return otherwise


def utc(time: datetime, otherwise: datetime) -> datetime:
    """Return the time in UTC; `otherwise` if its year is not from 1 to 9999 there.

    >>> ahead = datetime.fromisoformat("0001-01-01T00:00:00+14:00")
    >>> utc(ahead, datetime(2026, 3, 1, tzinfo=UTC)).isoformat()
    '2026-03-01T00:00:00+00:00'
    """
    try:
        return time.astimezone(UTC)
    except OverflowError:
        return otherwise
