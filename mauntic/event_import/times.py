"""Read the time of an event: ISO 8601, a pattern, or a Unix time. The result is UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mauntic.errors import OperatorError
from mauntic.event_import.event import Refused

Ambiguous = Literal["refuse", "earlier", "later"]
ISO, SECONDS, MILLISECONDS = "iso", "seconds", "milliseconds"
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE_CHARS = 10  # a date alone is no time


def zone_named(name: str | None) -> ZoneInfo | None:
    """Return the time zone; raise OperatorError for an unknown name."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise OperatorError(
            f"There is no time zone {name!r}: pass a name such as Europe/Berlin or UTC."
        ) from None


def read_time(
    value: Any, form: str, zone: ZoneInfo | None, ambiguous: Ambiguous, now: datetime
) -> datetime:
    """Return the time in UTC. `zone` is the zone of times without one."""
    at = _unix(value, form) if form in (SECONDS, MILLISECONDS) else _written(value, form)
    if at.tzinfo is None:
        if zone is None:
            raise Refused("without_zone")
        at = _localized(at, zone, ambiguous)
    try:
        at = at.astimezone(UTC)
    except OverflowError:
        raise Refused("bad_time") from None
    if at < EARLIEST:
        raise Refused("too_old")
    if at > now:
        raise Refused("future_time")
    return at


def _unix(value: Any, form: str) -> datetime:
    """Convert a Unix time, also one that is written as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Refused("bad_time")
    try:
        number = int(value) if isinstance(value, int) else float(value)
        return _EPOCH + timedelta(**{form: number})
    except (ValueError, OverflowError):
        raise Refused("bad_time") from None


def _written(value: Any, form: str) -> datetime:
    if not isinstance(value, str):
        raise Refused("bad_time")
    text = value.strip()
    try:
        if form != ISO:
            return datetime.strptime(text, form)
        if len(text) <= _DATE_CHARS:
            raise Refused("bad_time")
        return datetime.fromisoformat(text.removesuffix(" UTC") + "+00:00" * text.endswith(" UTC"))
    except ValueError:
        raise Refused("bad_time") from None


def _localized(naive: datetime, zone: ZoneInfo, ambiguous: Ambiguous) -> datetime:
    """Return the time in its zone. Refuse a time that the clock skipped or showed twice."""
    earlier, later = (naive.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if earlier.utcoffset() == later.utcoffset():
        return earlier
    if earlier.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != naive:
        raise Refused("nonexistent_time")
    if ambiguous == "refuse":
        raise Refused("ambiguous_time")
    return earlier if ambiguous == "earlier" else later
