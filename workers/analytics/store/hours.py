"""Book an hour: its events, and late or changed events of other hours, into their days.

The work of a run is a list in `analytics.hourly_work`, which no other transaction sees: `survey`
writes it and `book` processes it. Reasons: docs/decisions/0002 and 0011.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from analytics.store.statements import HOURLY, SQL, Booked
from shared.ledger import shards as planner
from shared.messages import Shard
from shared.ports import Database, Row
from shared.windows import Window

# The range of contacts of one statement: looking up earlier events takes up to 15 µs per event.
RANGE_EVENTS_TARGET = 250_000
# For fresh cells, which take up to 4 µs per event, it is as large as a shard.
FRESH_RANGE_EVENTS_TARGET = planner.SHARD_EVENTS_TARGET
# The changed hours that a run takes of each organization; the next run takes the others.
CHANGED_HOURS_MAX = 20_000
# More ranges of contacts would exceed the time of an invocation.
RANGES_MAX = 200

Contacts = tuple[UUID | None, UUID | None]


@dataclass(frozen=True)
class Hour:
    """The work of a run: an hour, or a shard of it.

    `recount` trusts no existing cell of the hour and no row of its day. `before_retention` writes
    the day of the window even if its events are no longer complete.
    """

    window: Window
    shard: Shard | None = None
    recount: bool = False
    before_retention: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        day = self.window.start.date()
        day_start = planner.midnight(day)
        return {
            "job_type": HOURLY,
            "start": self.window.start,
            "until": self.window.end,
            "hour_before": self.window.start - (self.window.end - self.window.start),
            "day": day,
            "most_changed": CHANGED_HOURS_MAX,
            "day_start": day_start,
            "day_end": day_start + timedelta(days=1),
            "recount": self.recount and self._has_own_day,
            "unretained_day": self.unretained_day,
            **planner.day_bounds(self.shard),
            **planner.part_bounds(self.shard),
        }

    @property
    def unretained_day(self) -> date | None:
        """The day before a retained period that is written: only the day that an operator
        requests.
        """
        return self.window.start.date() if self.before_retention else None

    @property
    def _has_own_day(self) -> bool:
        day, shard = self.window.start.date(), self.shard
        return shard is None or (
            (shard.first_day is None or shard.first_day <= day)
            and (shard.until_day is None or day < shard.until_day)
        )


@dataclass(frozen=True)
class Size:
    """The number of listed events (limited to slightly more than a shard), the number of them in
    fresh cells that are not counted yet, and whether there are cells to examine.
    """

    events: int
    fresh_events: int
    has_looks: bool


def book_hour(db: Database, hour: Hour) -> Booked:
    """Survey and book in one run. Can be repeated."""
    survey(db, hour)
    return book(db, hour, size(db))


def survey(db: Database, hour: Hour) -> dict[str, int]:
    """List the work, and wait for the run's turn. Return the number of events per organization
    before the retained period.
    """
    db.ahead("savepoint before_survey")
    found = list_work(db, hour)
    take_turn(db, hour, found["was_compared"])
    return dict(found["before_retention"])


def list_work(db: Database, hour: Hour) -> Row:
    """List the work that can be determined before the run's turn."""
    if not hour.recount:  # a backfill examines its cells instead
        db.ahead(SQL["prefer_hashing"])
        db.execute(SQL["count_hour"], most=FRESH_RANGE_EVENTS_TARGET + 1, **hour.parameters)
    [found] = db.rows(SQL["survey_hour"], **hour.parameters)
    return found


def take_turn(db: Database, hour: Hour, was_compared: bool) -> None:
    """Wait for the runs that write the same days of the same organizations, and see their rows."""
    db.execute(SQL["take_turns"])
    db.execute(SQL["sort_work"], was_compared=was_compared, **hour.parameters)


def size(db: Database) -> Size:
    """Return the size of the listed work."""
    [row] = db.rows(SQL["size_of_work"], most=planner.SHARD_EVENTS_TARGET + 1)
    return Size(**row)


def shards(db: Database, size: Size) -> tuple[dict[str, Any], ...]:
    """Return the shards of the listed work; none if one run can do it."""
    if size.events <= planner.SHARD_EVENTS_TARGET:
        return ()
    sizes = [planner.Size(**row) for row in db.rows(SQL["sizes_of_work"])]
    return planner.numbered(planner.plan_days(sizes))


def leave_to_shards(db: Database) -> None:
    """Leave the listed work, and the changed hours that it took, to the shards of the window."""
    db.execute("rollback to savepoint before_survey")


def book(db: Database, hour: Hour, size: Size) -> Booked:
    """Process the list."""
    cells = 0
    if size.has_looks:
        cells += _book_changes(db, hour, size)
    if size.fresh_events:
        cells += _book_fresh(db, hour, size.fresh_events)
    [done] = db.rows(SQL["set_days"], **hour.parameters)
    refused = [str(organization) for organization in done["refused"] or []]
    return Booked(done["rows_read"], cells + done["rows_written"], refused)


def _book_changes(db: Database, hour: Hour, size: Size) -> int:
    for first, until in _hours_to_look_at(db, size):
        db.execute(SQL["find_disturbed"], first_hour=first, until_hour=until, **hour.parameters)
    [booking] = db.rows(SQL["size_of_booking"])
    ranges = _ranges_of_contacts(db, "book", booking["events"], RANGE_EVENTS_TARGET)
    return sum(
        db.execute(
            SQL["book_cells"],
            adds=number > 0,
            unretained_day=hour.unretained_day,
            **_between(contacts),
        )
        for number, contacts in enumerate(ranges)
    )


def _book_fresh(db: Database, hour: Hour, events: int) -> int:
    ranges = _ranges_of_contacts(db, "fresh", events, FRESH_RANGE_EVENTS_TARGET)
    db.ahead(SQL["prefer_hashing"])
    cells = sum(
        db.execute(SQL["book_fresh_hour"], **hour.parameters, **_between(contacts))
        for contacts in ranges
    )
    db.ahead(SQL["prefer_nothing"])
    return cells


def _hours_to_look_at(db: Database, size: Size) -> list[tuple[datetime | str, datetime | str]]:
    """Examine all cells at once, or hour by hour if one type of one organization is too large for a
    shard.
    """
    cuts: list[datetime] = []
    if size.events > planner.SHARD_EVENTS_TARGET:
        cuts = [row["hour"] for row in db.rows(SQL["hours_to_look_at"])]
    return list(pairwise(["-infinity", *cuts[1:], "infinity"]))


def _ranges_of_contacts(db: Database, kind: str, events: int, target: int) -> list[Contacts]:
    """Return ranges of at most about `target` events: one type of one organization, which is not
    sharded, may have more.
    """
    pieces = min(RANGES_MAX, -(-events // target))
    if pieces <= 1:
        return [(None, None)]
    fractions = [piece / pieces for piece in range(1, pieces)]
    rows = db.rows(SQL["contact_cuts"], kind=kind, fractions=fractions)
    return list(pairwise([None, *(row["cut"] for row in rows), None]))


def _between(contacts: Contacts) -> dict[str, UUID | None]:
    first, until = contacts
    return {"first_contact": first, "until_contact": until}
