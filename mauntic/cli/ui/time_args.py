"""Parse times, spans and windows from the command line. Always UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import typer

from mauntic.errors import OperatorError
from shared.windows import Schedule, Window

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SPAN_MAX = timedelta(days=36_500)
# Within these bounds, windows and spans stay within Python's range of years.
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
# No window of a schedule is longer: a month.
WINDOW_MAX = timedelta(days=32)


def moment(text: str) -> datetime:
    """Parse an ISO 8601 time; the default zone is UTC, the default time midnight.

    >>> moment("2026-03-10T10:00Z").isoformat(), moment("2026-03-10").isoformat()
    ('2026-03-10T10:00:00+00:00', '2026-03-10T00:00:00+00:00')
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is not a time such as 2026-03-10T10:00Z.") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    if not EARLIEST <= found < LATEST:
        raise typer.BadParameter(
            f"{text} is not between the years {EARLIEST.year} and {LATEST.year}."
        )
    return found.astimezone(UTC)


def span(text: str) -> timedelta:
    """Parse a duration: a number and one of s, m, h, d, w.

    >>> span("90m") == timedelta(hours=1.5)
    True
    """
    match = _SPAN.fullmatch(text.strip())
    try:
        found = timedelta(**{_UNITS[match[2]]: float(match[1])}) if match else timedelta(0)
    except OverflowError:
        found = SPAN_MAX
    if not timedelta(0) < found < SPAN_MAX:
        raise typer.BadParameter(f"{text} is not a duration such as 30m, 2h or 7d.")
    return found


def window_of(schedule: Schedule, text: str, now: datetime) -> Window:
    """Parse `START` or `START/END` as a window of the schedule that has ended."""
    first, slash, last = text.partition("/")
    start = moment(first)
    near = schedule.between(start - WINDOW_MAX, start + 2 * WINDOW_MAX)
    found = next((window for window in near if window.start == start), None)
    if found is None or (slash and found.end != moment(last)):
        around = next((window for window in near if window.end > start), near[-1])
        raise OperatorError(f"{text} is not a window of this job; the nearest is {around}.")
    if found.end > now:
        raise OperatorError(f"{found} has not ended yet.")
    return found
