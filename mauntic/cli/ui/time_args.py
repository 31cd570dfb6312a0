"""Times as an operator types them: moments, spans and windows. Always UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import typer

from mauntic.errors import OperatorError
from shared.windows import Schedule, Window

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SPAN_MAX = timedelta(days=36_500)
# Around a moment within these, windows and spans stay within Python's years.
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
# No window of a schedule is longer: a month.
WINDOW_MAX = timedelta(days=32)


def moment(text: str) -> datetime:
    """A moment from ISO 8601; without a zone it is UTC, without a time midnight.

    >>> moment("2026-03-10T10:00Z").isoformat(), moment("2026-03-10").isoformat()
    ('2026-03-10T10:00:00+00:00', '2026-03-10T00:00:00+00:00')
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is no time such as 2026-03-10T10:00Z.") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    if not EARLIEST <= found < LATEST:
        raise typer.BadParameter(f"{text} is no time from {EARLIEST.year} to {LATEST.year}.")
    return found.astimezone(UTC)


def span(text: str) -> timedelta:
    """A length of time: a number and one of s, m, h, d, w.

    >>> span("90m") == timedelta(hours=1.5)
    True
    """
    match = _SPAN.fullmatch(text.strip())
    try:
        found = timedelta(**{_UNITS[match[2]]: float(match[1])}) if match else timedelta(0)
    except OverflowError:
        found = SPAN_MAX
    if not timedelta(0) < found < SPAN_MAX:
        raise typer.BadParameter(f"{text} is no length of time such as 30m, 2h or 7d.")
    return found


def window_of(schedule: Schedule, text: str, now: datetime) -> Window:
    """The window that `START` or `START/END` means; only whole windows that are over."""
    first, slash, last = text.partition("/")
    start = moment(first)
    near = schedule.between(start - WINDOW_MAX, start + 2 * WINDOW_MAX)
    found = next((window for window in near if window.start == start), None)
    if found is None or (slash and found.end != moment(last)):
        around = next((window for window in near if window.end > start), near[-1])
        raise OperatorError(f"{text} is no window of this job; the one there is {around}.")
    if found.end > now:
        raise OperatorError(f"{found} is not over yet.")
    return found
