"""Times of day over changes of clocks: expected values by hand, from the published rules."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest

from tests.workers.journeys.stage import Stage

NEW_YORK, BERLIN, HOWE = "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("since", "at", "weekdays", "zone", "expected"),
    [
        # Around the change of 8 March 2026 (02:00 EST is 03:00 EDT): the hour is set again.
        (utc(2026, 3, 7, 15), time(9), None, NEW_YORK, utc(2026, 3, 8, 13)),
        (utc(2026, 3, 6, 15), time(9), None, NEW_YORK, utc(2026, 3, 7, 14)),
        # 02:30 does not exist on 8 March: the next valid time is 03:00 EDT, 07:00 UTC.
        (utc(2026, 3, 7, 8), time(2, 30), None, NEW_YORK, utc(2026, 3, 8, 7)),
        (utc(2026, 3, 8, 7), time(2, 30), None, NEW_YORK, utc(2026, 3, 9, 6, 30)),
        # 01:30 comes twice on 1 November (EDT, then EST): the first, 05:30 UTC.
        (utc(2026, 10, 31, 12), time(1, 30), None, NEW_YORK, utc(2026, 11, 1, 5, 30)),
        (utc(2026, 11, 1, 5, 30), time(1, 30), None, NEW_YORK, utc(2026, 11, 2, 6, 30)),
        # Berlin: 29 March 2026, 02:00 is 03:00; 25 October, 03:00 is 02:00 again.
        (utc(2026, 3, 28, 12), time(2), None, BERLIN, utc(2026, 3, 29, 1)),
        (utc(2026, 3, 28, 12), time(3), None, BERLIN, utc(2026, 3, 29, 1)),
        (utc(2026, 10, 24, 12), time(2, 59), None, BERLIN, utc(2026, 10, 25, 0, 59)),
        # Lord Howe Island moves by half an hour: 4 October 2026, 02:00 (+10:30) is 02:30 (+11).
        (utc(2026, 10, 3, 0), time(2, 10), None, HOWE, utc(2026, 10, 3, 15, 30)),
        # 5 April 2026, 02:00 (+11) is 01:30 (+10:30): 01:45 comes twice.
        (utc(2026, 4, 4, 0), time(1, 45), None, HOWE, utc(2026, 4, 4, 14, 45)),
        # Strictly after: the same minute is tomorrow.
        (utc(2026, 6, 1, 12), time(12), None, "UTC", utc(2026, 6, 2, 12)),
        # Weekdays: 10 March 2026 is a Tuesday, in Tokyo already Wednesday at 20:00 UTC.
        (utc(2026, 3, 10, 20), time(9), [1], "UTC", utc(2026, 3, 16, 9)),
        (utc(2026, 3, 10, 20), time(9), [3], "Asia/Tokyo", utc(2026, 3, 11, 0)),
        (utc(2026, 3, 10, 8), time(9), [2], "UTC", utc(2026, 3, 10, 9)),
        (utc(2026, 3, 10, 9), time(9), [2], "UTC", utc(2026, 3, 17, 9)),
        (utc(2026, 3, 10, 9), time(9), [6, 7], "UTC", utc(2026, 3, 14, 9)),
    ],
)
def test_the_next_time_of_day(
    stage: Stage,
    since: datetime,
    at: time,
    weekdays: list[int] | None,
    zone: str,
    expected: datetime,
) -> None:
    [row] = stage.db.rows(
        "select journey.next_local_time("
        "    cast(:since as timestamptz), cast(:at as time), cast(:days as integer[]), :zone"
        ") as next",
        since=since, at=at.isoformat(), days=weekdays, zone=zone,
    )  # fmt: skip
    assert row["next"] == expected
