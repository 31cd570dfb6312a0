"""Times of events: zones, clock changes, Unix times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mauntic.errors import OperatorError
from mauntic.event_import.event import Refused
from mauntic.event_import.times import Ambiguous, read_time, zone_named

NOW = datetime(2026, 3, 10, 11, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def read(
    value: Any, form: str = "iso", zone: ZoneInfo | None = None, ambiguous: Ambiguous = "refuse"
) -> str:
    """Return the time, or the reason why it is refused."""
    try:
        return read_time(value, form, zone, ambiguous, NOW).strftime("%Y-%m-%d %H:%M:%S.%f")[:19]
    except Refused as refusal:
        return refusal.reason


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-02-29T12:00:00Z", "2024-02-29 12:00:00"),
        ("2024-02-29 12:00:00+05:30", "2024-02-29 06:30:00"),
        (" 2024-02-29 12:00:00 UTC ", "2024-02-29 12:00:00"),
        ("2024-02-29 12:00:00", "without_zone"),
        ("2024-02-29", "bad_time"),
        ("2023-02-29 12:00:00Z", "bad_time"),
        ("29.02.2024 12:00", "bad_time"),
        ("", "bad_time"),
        (None, "bad_time"),
        (1709208000, "bad_time"),
        ("1970-01-01T00:00:00Z", "too_old"),
        ("0001-01-01T00:00:00+14:00", "bad_time"),
        ("2026-03-10T11:00:01Z", "future_time"),
        ("2026-03-10T11:00:00Z", "2026-03-10 11:00:00"),
    ],
)
def test_written_times(value: Any, expected: str) -> None:
    assert read(value) == expected


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (1709208000, "seconds", "2024-02-29 12:00:00"),
        ("1709208000.5", "seconds", "2024-02-29 12:00:00"),
        (1709208000000, "milliseconds", "2024-02-29 12:00:00"),
        (1709208000000, "seconds", "bad_time"),  # a year after 9999
        (1709208000, "milliseconds", "too_old"),  # January 1970
        (True, "seconds", "bad_time"),
        ("soon", "seconds", "bad_time"),
        (float("nan"), "seconds", "bad_time"),
        (float("inf"), "seconds", "bad_time"),
        ("29.02.2024 12:00", "%d.%m.%Y %H:%M", "without_zone"),
        ("29.02.2024 12:00 +0100", "%d.%m.%Y %H:%M %z", "2024-02-29 11:00:00"),
        ("2/29/24 1:05 PM", "%m/%d/%y %I:%M %p", "without_zone"),
    ],
)
def test_other_forms(value: Any, form: str, expected: str) -> None:
    assert read(value, form) == expected


@pytest.mark.parametrize(
    ("value", "ambiguous", "expected"),
    [
        ("2024-07-01 12:00:00", "refuse", "2024-07-01 10:00:00"),
        ("2024-01-01 12:00:00", "refuse", "2024-01-01 11:00:00"),
        ("2024-07-01 12:00:00Z", "refuse", "2024-07-01 12:00:00"),  # its own zone counts
        # The clock went from 02:00 to 03:00 on 31 March 2024.
        ("2024-03-31 01:59:59", "refuse", "2024-03-31 00:59:59"),
        ("2024-03-31 02:00:00", "earlier", "nonexistent_time"),
        ("2024-03-31 02:59:59", "later", "nonexistent_time"),
        ("2024-03-31 03:00:00", "refuse", "2024-03-31 01:00:00"),
        # It went from 03:00 back to 02:00 on 27 October 2024.
        ("2024-10-27 01:59:59", "refuse", "2024-10-26 23:59:59"),
        ("2024-10-27 02:00:00", "refuse", "ambiguous_time"),
        ("2024-10-27 02:30:00", "earlier", "2024-10-27 00:30:00"),
        ("2024-10-27 02:30:00", "later", "2024-10-27 01:30:00"),
        ("2024-10-27 03:00:00", "refuse", "2024-10-27 02:00:00"),
    ],
)
def test_local_times_of_berlin(value: str, ambiguous: Ambiguous, expected: str) -> None:
    assert read(value, zone=BERLIN, ambiguous=ambiguous) == expected


def test_a_clock_change_of_half_an_hour() -> None:
    """Lord Howe Island went from 02:00 back to 01:30 on 7 April 2024."""
    zone = ZoneInfo("Australia/Lord_Howe")
    assert read("2024-04-07 01:29:59", zone=zone) == "2024-04-06 14:29:59"
    assert read("2024-04-07 01:45:00", zone=zone) == "ambiguous_time"
    assert read("2024-04-07 01:45:00", zone=zone, ambiguous="later") == "2024-04-06 15:15:00"


@pytest.mark.parametrize("name", ["Berlin", "", "../etc/passwd", "UTC+25"])
def test_an_unknown_zone_is_an_error(name: str) -> None:
    with pytest.raises(OperatorError, match="no time zone"):
        zone_named(name)


def test_no_zone_and_a_known_one() -> None:
    assert zone_named(None) is None
    assert zone_named("Europe/Berlin") == BERLIN
