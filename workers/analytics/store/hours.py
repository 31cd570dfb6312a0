"""Book an hour: its events, and late or changed ones of other hours, into their days.

What a run has to do is a list in `analytics.hourly_work`, which no other transaction sees: `survey`
writes it, `book` works it off. docs/decisions/0002 and 0011 have the reasons.
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

# What one statement books of a range of contacts: looking up earlier visits takes up to 15 µs each.
RANGE_EVENTS_TARGET = 250_000
# The same of fresh cells, at up to 4 µs an event: as much as a shard has.
FRESH_RANGE_EVENTS_TARGET = planner.SHARD_EVENTS_TARGET
# How many rows of changed hours a run takes of each organization: the next run takes the others.
CHANGED_HOURS_MAX = 20_000
# More ranges of contacts than this would not end within an invocation.
RANGES_MAX = 200

Contacts = tuple[UUID | None, UUID | None]


@dataclass(frozen=True)
class Hour:
    """What a run books: the work of an hour, or a shard of it.

    `anew` trusts nothing that is there: no cell of the hour, and no row of its day.
    `before_retention` writes the day of the window even if its source is no longer complete.
    """

    window: Window
    shard: Shard | None = None
    anew: bool = False
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
            "anew": self.anew and self._has_own_day,
            "unretained_day": self.unretained_day,
            **planner.day_bounds(self.shard),
            **planner.part_bounds(self.shard),
        }

    @property
    def unretained_day(self) -> date | None:
        """The day before a retained period that is written: what an operator asks for is this day
        and no other that the run comes upon."""
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
    """How many events the listed work has (of more than a shard, only that it is more), how many of
    them in fresh cells that are yet to be counted, and whether cells are to be looked at."""

    events: int
    fresh_events: int
    has_looks: bool


def book_hour(db: Database, hour: Hour) -> Booked:
    """Survey and book, as one run. Any number of times."""
    survey(db, hour)
    return book(db, hour, size(db))


def survey(db: Database, hour: Hour) -> dict[str, int]:
    """List the work, and wait for the run's turn at it. Returns how many events of which
    organizations lie before the retained period."""
    db.ahead("savepoint before_survey")
    found = list_work(db, hour)
    take_turn(db, hour, found["was_compared"])
    return dict(found["before_retention"])


def list_work(db: Database, hour: Hour) -> Row:
    """List what there is to do as far as it can be seen before it is the run's turn."""
    if not hour.anew:  # a backfill counts by its looks
        db.ahead(SQL["prefer_hashing"])
        db.execute(SQL["count_hour"], most=FRESH_RANGE_EVENTS_TARGET + 1, **hour.parameters)
    [found] = db.rows(SQL["survey_hour"], **hour.parameters)
    return found


def take_turn(db: Database, hour: Hour, was_compared: bool) -> None:
    """Wait for the runs that write the same days of the same organizations, and see their rows."""
    db.execute(SQL["take_turns"])
    db.execute(SQL["sort_work"], was_compared=was_compared, **hour.parameters)


def size(db: Database) -> Size:
    """How much the listed work is."""
    [row] = db.rows(SQL["size_of_work"], most=planner.SHARD_EVENTS_TARGET + 1)
    return Size(**row)


def shards(db: Database, size: Size) -> tuple[dict[str, Any], ...]:
    """How to cut the listed work; nothing where one run can do it."""
    if size.events <= planner.SHARD_EVENTS_TARGET:
        return ()
    sizes = [planner.Size(**row) for row in db.rows(SQL["sizes_of_work"])]
    return planner.numbered(planner.plan_days(sizes))


def leave_to_shards(db: Database) -> None:
    """Leave the listed work to the shards of the window, and the changed hours that it took."""
    db.execute("rollback to savepoint before_survey")


def book(db: Database, hour: Hour, size: Size) -> Booked:
    """Work off the list."""
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
    """All at once, or hour by hour what no shard cuts: a day of one type of one organization."""
    cuts: list[datetime] = []
    if size.events > planner.SHARD_EVENTS_TARGET:
        cuts = [row["hour"] for row in db.rows(SQL["hours_to_look_at"])]
    return list(pairwise(["-infinity", *cuts[1:], "infinity"]))


def _ranges_of_contacts(db: Database, kind: str, events: int, target: int) -> list[Contacts]:
    """Ranges of about `target` events at most: one type of one organization, which no shard cuts,
    may have more."""
    pieces = min(RANGES_MAX, -(-events // target))
    if pieces <= 1:
        return [(None, None)]
    fractions = [piece / pieces for piece in range(1, pieces)]
    rows = db.rows(SQL["contact_cuts"], kind=kind, fractions=fractions)
    return list(pairwise([None, *(row["cut"] for row in rows), None]))


def _between(contacts: Contacts) -> dict[str, UUID | None]:
    first, until = contacts
    return {"first_contact": first, "until_contact": until}
