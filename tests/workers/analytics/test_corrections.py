"""Every change within a day of an event reaches every derived table, through ticks alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.ports import Row
from tests.thorough import examples
from tests.workers.analytics.test_closing_months import DAILY, HOURLY, MONTHLY, Months
from tests.workers.analytics.warehouse import org

START = datetime(2026, 2, 28, 14, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
EVENTS_H, TICKS_H = 18, 62  # events until the morning of the 1st, ticks until that of the 3rd
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CHANGED_WITHIN = timedelta(hours=23)
OPENED, SENT, OTHER = "email_opened", "email_sent", "other"
COLUMNS = {OPENED: "opened", SENT: "sent"}  # of a campaign
CAMPAIGNS = [str(UUID(int=7)), str(UUID(int=8)).upper()]
TABLES = (
    "analytics.contact_activity", "analytics.hourly_cells", "analytics.event_aggregates",
    "analytics.campaign_daily_stats", "analytics.booking_turns", "analytics.locked_days",
    "analytics.changed_hours", "ops.job_runs", "ops.schedules",
)  # fmt: skip


@dataclass(frozen=True)
class Event:
    """A row of contact_activity."""

    id: UUID
    organization_id: UUID
    contact_id: UUID
    event_type: str
    event_source: str | None
    occurred_at: datetime
    created_at: datetime


@dataclass(frozen=True)
class Edit:
    """A change of an event: of a column, or its deletion without one. A time value is relative to
    the edit.
    """

    number: int
    hour: int
    column: str | None
    value: Any


def columns() -> st.SearchStrategy[tuple[str | None, Any]]:
    within_a_day = st.integers(1, 22 * 60).map(lambda minutes: timedelta(minutes=minutes))
    return st.one_of(
        st.tuples(st.just("organization_id"), st.sampled_from([org(1), org(2)])),
        st.tuples(st.just("contact_id"), st.sampled_from([UUID(int=1_001), UUID(int=1_002)])),
        st.tuples(st.just("event_type"), st.sampled_from([OPENED, SENT, OTHER])),
        st.tuples(st.just("event_source"), st.sampled_from([*CAMPAIGNS, "none", None])),
        st.tuples(st.just("occurred_at"), within_a_day),
        st.tuples(st.just("created_at"), within_a_day),
        st.tuples(st.none(), st.none()),
    )


EDITS = st.lists(
    st.builds(
        lambda number, hour, change: Edit(number, hour, *change),
        st.integers(0, 9), st.integers(1, EVENTS_H + 22), columns(),
    ),
    min_size=1,
    max_size=12,
)  # fmt: skip
EVENTS = st.lists(
    st.tuples(
        st.integers(1, 2), st.integers(1, 2), st.sampled_from([OPENED, OPENED, SENT]),
        st.sampled_from([*CAMPAIGNS, None]), st.integers(0, EVENTS_H * 60 - 1),
        st.sampled_from([0, 5]),
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip


@pytest.fixture
def months(database: str) -> Iterator[Months]:
    months = Months(database)
    with closing(months.history.db):
        yield months


@settings(
    max_examples=examples(6),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(drawn=EVENTS, edits=EDITS)
def test_every_derived_table_follows_the_changes_of_a_day(
    months: Months, drawn: list[Any], edits: list[Edit]
) -> None:
    for table in TABLES:
        months.history.db.execute(f"delete from {table}")
    waiting = [event_of(number, *one) for number, one in enumerate(drawn)]
    known: dict[int, Event] = {}
    months.tick(HOURLY, START)
    months.deliver_all()
    for hour in range(TICKS_H):
        begins = START + hour * HOUR
        for number, event in enumerate(waiting):
            if begins <= event.created_at < begins + HOUR:
                known[number] = event
                insert(months, event)
        for edit in [one for one in edits if one.hour == hour]:
            apply(months, known, edit, begins + 0.99 * HOUR)
        tick(months, begins + HOUR)
    events = list(known.values())
    assert rollups(months) == counted(events, lambda event: event.occurred_at.date())
    assert campaigns(months) == counted_campaigns(events)
    february = [event for event in events if event.occurred_at < MARCH]
    assert february_of(months) == counted(february, lambda event: "monthly")


def event_of(
    number: int,
    organization: int,
    contact: int,
    kind: str,
    source: str | None,
    minute: int,
    late: int,
) -> Event:
    at = START + timedelta(minutes=minute)
    ids = UUID(int=number + 1), org(organization), UUID(int=1_000 + contact)
    return Event(*ids, kind, source, at, at + late * HOUR)


def insert(months: Months, event: Event) -> None:
    names = ", ".join(vars(event))
    values = ", ".join(f":{name}" for name in vars(event))
    months.history.db.execute(
        f"insert into analytics.contact_activity ({names}) values ({values})", **vars(event)
    )


def apply(months: Months, known: dict[int, Event], edit: Edit, now: datetime) -> None:
    """Change an existing event, if it is at most a day old."""
    event = known.get(edit.number)
    if event is None or now - event.occurred_at > CHANGED_WITHIN:
        return
    if edit.column is None:
        del known[edit.number]
        months.history.db.execute(
            "delete from analytics.contact_activity where id = :id", id=event.id
        )
        return
    value: Any = now - edit.value if isinstance(edit.value, timedelta) else edit.value
    known[edit.number] = Event(**vars(event) | {edit.column: value})
    months.history.db.execute(
        f"update analytics.contact_activity set {edit.column} = :value where id = :id",
        value=value, id=event.id,
    )  # fmt: skip


def tick(months: Months, at: datetime) -> None:
    crons = [
        HOURLY,
        *([DAILY] if at.hour == 2 else []),
        *([MONTHLY] if (at.day, at.hour) == (1, 3) else []),
    ]
    for cron in crons:
        months.tick(cron, at)
        months.deliver_all()


def counted(events: list[Event], day_of: Any) -> dict[Any, tuple[int, int]]:
    contacts: dict[Any, list[UUID]] = defaultdict(list)
    for event in events:
        key = (event.organization_id, day_of(event), event.event_type)
        contacts[key].append(event.contact_id)
    return {key: (len(seen), len(set(seen))) for key, seen in contacts.items()}


def counted_campaigns(events: list[Event]) -> dict[Any, dict[str, int]]:
    figures: dict[Any, Counter[str]] = defaultdict(Counter)
    openers: dict[Any, set[UUID]] = defaultdict(set)
    for event in events:
        if event.event_source not in CAMPAIGNS or event.event_type not in COLUMNS:
            continue
        key = (UUID(event.event_source), event.organization_id, event.occurred_at.date())
        figures[key][COLUMNS[event.event_type]] += 1
        if event.event_type == OPENED:
            openers[key].add(event.contact_id)
            figures[key]["unique_opened"] = len(openers[key])
    return {key: dict(counter) for key, counter in figures.items()}


def rollups(months: Months) -> dict[Any, tuple[int, int]]:
    rows = months.history.db.rows("select * from analytics.daily_aggregates where count > 0")
    return {(r["organization_id"], r["date"], r["event_type"]): _figures(r) for r in rows}


def february_of(months: Months) -> dict[Any, tuple[int, int]]:
    rows = months.history.db.rows(
        "select * from analytics.event_aggregates where event_type like 'monthly:%' and count > 0"
    )
    assert {row["date"] for row in rows} <= {MARCH.date() - timedelta(days=28)}
    return {
        (r["organization_id"], "monthly", r["event_type"].removeprefix("monthly:")): _figures(r)
        for r in rows
    }


def campaigns(months: Months) -> dict[Any, dict[str, int]]:
    rows = months.history.db.rows("select * from analytics.campaign_daily_stats")
    names = ("sent", "opened", "unique_opened", "clicked", "bounced")
    found = {
        (r["campaign_id"], r["organization_id"], r["date"]): {n: r[n] for n in names if r[n]}
        for r in rows
    }
    return {key: figures for key, figures in found.items() if figures}


def _figures(row: Row) -> tuple[int, int]:
    return row["count"], row["unique_count"]
