"""Pieces of one tenant add up to its rows: in any order, after crashes, with concurrent windows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import date, timedelta
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.store import figures, statements
from analytics.store.sampled_shards import shards_of
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.errors import DatabaseError
from shared.ledger import shards as planner
from shared.messages import Shard
from shared.windows import Window
from tests.fakes import World
from tests.thorough import examples
from tests.workers.analytics.history import DAY, History, Undone, day_window, deliver, org

CAMPAIGN = UUID(int=7_001)
DAILY = {"type": "analytics.generate-daily-reports"}
MONTHLY = {"type": "analytics.generate-monthly-usage", "scheduledFor": "2026-04-01T03:00:00Z"}
MARCH = Window(DAY.replace(day=1), DAY.replace(month=4, day=1))
TABLES = ("campaign_daily_stats", "event_aggregates", "partial_counts", "locked_days")


@pytest.fixture
def history(database: str) -> Iterator[History]:
    history = History(database)
    with closing(history.db):
        yield history


def fill(history: History, contacts: int = 9) -> None:
    """One organization is too large for a shard of 8 events; another is small."""
    for contact in range(contacts):
        for kind in ("email_opened", "email_clicked", "email_opened"):
            add(history, 2, contact, kind)
    add(history, 1, 1, "email_opened")


def add(history: History, organization: int, contact: int, kind: str) -> None:
    history.add(organization, contact, kind, str(CAMPAIGN), DAY + timedelta(hours=9 + contact % 9))


def rollups(history: History) -> None:
    """Write the daily rollups, counted by a separate statement."""
    history.db.execute(
        "insert into analytics.event_aggregates"
        " (organization_id, date, event_type, count, unique_count)"
        " select organization_id, :day, event_type, count(*), count(distinct contact_id)"
        " from analytics.contact_activity group by 1, 3"
        " on conflict (organization_id, date, event_type)"
        " do update set count = excluded.count, unique_count = excluded.unique_count",
        day=DAY.date(),
    )  # fmt: skip


def split(history: History, span: Window, by_day: bool, run: int = 1) -> list[Shard]:
    with mock.patch.object(planner, "SHARD_EVENTS_TARGET", 8):
        shards = shards_of(history.db, span, by_day)
    return [Shard.model_validate(shard | {"run": run}) for shard in shards]


def leave(history: History, window: Window) -> None:
    """Run it like the run that splits a window of reports."""
    days = statements.days_of(span_of(window))
    with history.db.transaction():
        statements.leave_days_to_shards(history.db, statements.DAILY, days, window)
        figures.void_counts(history.db, statements.DAILY, days, window)


def span_of(window: Window) -> Window:
    return Window(window.start - timedelta(days=2), window.end)


def report(history: History, window: Window, shard: Shard | None = None) -> figures.Reported:
    with history.db.transaction():
        return figures.report_days(history.db, span_of(window), window, shard)


def usage(history: History, shard: Shard | None = None) -> figures.Reported:
    with history.db.transaction():
        return figures.set_monthly_usage(history.db, MARCH, shard)


def assert_reported(history: History) -> None:
    """Compare the campaign's rows with figures that are counted in plain Python."""
    rows = {
        row["organization_id"]: tuple(
            row[name] for name in ("opened", "unique_opened", "clicked", "unique_clicked")
        )
        for row in history.all("analytics.campaign_daily_stats")
    }
    assert rows == {
        one: (*counts(history, one, "email_opened"), *counts(history, one, "email_clicked"))
        for one in {event.organization_id for event in history.events}
    }


def counts(history: History, organization: UUID, kind: str) -> tuple[int, int]:
    seen = [
        event.contact_id
        for event in history.events
        if (event.organization_id, event.event_type) == (organization, kind)
    ]
    return len(seen), len(set(seen))


def assert_used(history: History) -> None:
    rows = {
        (row["organization_id"], row["event_type"]): (row["count"], row["unique_count"])
        for row in history.all("analytics.event_aggregates")
        if row["event_type"].startswith("monthly:")
    }
    assert rows == {
        (one, f"monthly:{kind}"): counts(history, one, kind)
        for one, kind in {(event.organization_id, event.event_type) for event in history.events}
    }


@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_pieces_add_up_in_any_order_after_crashes_and_repetitions(
    history: History, data: st.DataObject
) -> None:
    """A run that is aborted leaves nothing; a repeated piece counts once."""
    history.clear(*TABLES)
    fill(history)
    rollups(history)
    window = day_window(0)
    leave(history, window)
    jobs: list[tuple[Any, Shard]] = [
        *((report, shard) for shard in split(history, span_of(window), by_day=True)),
        *((usage, shard) for shard in split(history, MARCH, by_day=False)),
    ]
    assert sum(shard.pieces is not None for _, shard in jobs) >= 6
    for work, shard in data.draw(st.permutations(jobs)):
        for fate in data.draw(st.lists(st.sampled_from(["undo", "again"]), max_size=2)):
            with suppress(Undone), history.db.transaction():
                if work is report:
                    figures.report_days(history.db, span_of(window), window, shard)
                else:
                    figures.set_monthly_usage(history.db, MARCH, shard)
                if fate == "undo":
                    raise Undone
                break
        else:
            report(history, window, shard) if work is report else usage(history, shard)
    assert_reported(history)
    assert_used(history)
    assert history.all("analytics.partial_counts") == []


def test_a_piece_that_is_counted_again_counts_once(history: History) -> None:
    fill(history)
    window = day_window(0)
    leave(history, window)
    shards = split(history, span_of(window), by_day=True)
    for shard in (*shards[:-1], *shards):
        report(history, window, shard)
    assert_reported(history)


@pytest.mark.parametrize("later_is_split", [False, True])
def test_an_older_count_is_never_added_up_over_a_newer_one(
    history: History, later_is_split: bool
) -> None:
    """Another window sets the day between two pieces, and an event was deleted in the meantime."""
    fill(history)
    window, later = day_window(0), day_window(1)
    leave(history, window)
    shards = split(history, span_of(window), by_day=True)
    half = len(shards) // 2
    for shard in shards[:half]:
        report(history, window, shard)
    for event in history.events[:12]:
        history.delete(event)
    if later_is_split:
        leave(history, later)
        newer = split(history, span_of(later), by_day=True)
    else:
        report(history, later)
        newer = []
    for shard in shards[half:]:
        report(history, window, shard)
    for shard in newer:
        report(history, later, shard)
    assert_reported(history)


def use_impatiently(db: Postgres, shard: Shard) -> None:
    with db.transaction():
        db.execute("set local lock_timeout = '100ms'")
        figures.set_monthly_usage(db, MARCH, shard)


def test_of_two_pieces_that_end_together_the_second_sees_what_the_first_has_counted(
    history: History,
) -> None:
    fill(history)
    rollups(history)
    shards = split(history, MARCH, by_day=False)
    pieces = [shard for shard in shards if shard.pieces]
    for shard in pieces[2:]:
        usage(history, shard)
    other = Postgres(lambda: connect(history.url))
    with closing(other), history.db.transaction():
        figures.set_monthly_usage(history.db, MARCH, pieces[0])
        with pytest.raises(DatabaseError, match="55P03"):
            use_impatiently(other, pieces[1])
    usage(history, pieces[1])
    for shard in shards:
        if not shard.pieces:
            usage(history, shard)
    assert_used(history)


def test_a_split_voids_what_an_earlier_split_of_its_window_has_counted(history: History) -> None:
    fill(history)
    rollups(history)
    old = [shard for shard in split(history, MARCH, by_day=False) if shard.pieces]
    for shard in old[:-1]:
        usage(history, shard)
    world = World(history.url, now=MARCH.end + timedelta(hours=3))
    with mock.patch.object(planner, "SHARD_EVENTS_TARGET", 8):
        asyncio.run(deliver(world, MONTHLY, "m1"))
    assert world.queue.sent
    assert history.all("analytics.partial_counts") == []


def retain(history: History, organization: int | None, since: date) -> None:
    history.db.rows(
        "select ops.purged_before(:since, cast(:organization as uuid))",
        since=since, organization=org(organization) if organization else None,
    )  # fmt: skip


def stats(history: History) -> dict[int, int]:
    rows = history.all("analytics.campaign_daily_stats")
    return {row["organization_id"].int: row["opened"] for row in rows}


@pytest.mark.parametrize("is_split", [False, True])
@pytest.mark.parametrize("whose", [2, None])
def test_days_before_the_retained_period_keep_their_rows(
    history: History, is_split: bool, whose: int | None
) -> None:
    """Nothing is set or cleared until an operator requests it."""
    fill(history)
    history.db.execute(
        "insert into analytics.campaign_daily_stats (campaign_id, organization_id, date, opened)"
        " values (:other, :large, :day, 500), (:campaign, :large, :day, 600),"
        " (:other, :small, :day, 7)",
        other=UUID(int=9), campaign=CAMPAIGN, large=org(2), small=org(1), day=DAY.date(),
    )  # fmt: skip
    retain(history, whose, DAY.date() + timedelta(days=1))
    world = World(history.url, now=DAY + timedelta(days=1, hours=2))
    asyncio.run(deliver_all(world, DAILY, 8 if is_split else 10**6))
    rows = {
        (row["organization_id"].int, row["campaign_id"].int): row["opened"]
        for row in history.all("analytics.campaign_daily_stats")
    }
    kept = {(2, 9): 500, (2, 7_001): 600}
    small = {(1, 9): 0, (1, 7_001): 1} if whose else {(1, 9): 7}
    assert rows == kept | small
    reported = {
        event["organization_id"]: event["count"] for event in world.named("event.before_retention")
    }
    assert reported == {str(org(2)): 27} | ({} if whose else {str(org(1)): 1})
    asked = DAILY | {"trigger": "backfill", "data": {"beforeRetention": True}}
    asyncio.run(deliver_all(world, asked, 8 if is_split else 10**6, "asked"))
    history.db.execute("delete from analytics.campaign_daily_stats where opened = 0")
    assert_reported(history)


async def deliver_all(world: World, body: dict[str, Any], target: int, name: str = "m") -> None:
    with mock.patch.object(planner, "SHARD_EVENTS_TARGET", target):
        waiting, number = [body], 0
        while waiting:
            delivery = await deliver(world, waiting.pop(0), f"{name}{number}")
            assert delivery.answer == "ack"
            waiting += world.queue.sent
            world.queue.sent, number = [], number + 1


@pytest.mark.parametrize("is_split", [False, True])
def test_a_month_that_begins_before_the_retained_period_keeps_its_rows(
    history: History, is_split: bool
) -> None:
    fill(history)
    rollups(history)
    history.db.execute(
        "insert into analytics.event_aggregates"
        " (organization_id, date, event_type, channel, count, unique_count)"
        " select one, :first, kind, 'monthly_summary', 900, 90"
        " from unnest(cast(:organizations as uuid[])) as one (one)"
        " cross join unnest(array['monthly:email_opened', 'monthly:gone']) as kind (kind)",
        first=MARCH.start.date(), organizations=[org(1), org(2)],
    )  # fmt: skip
    retain(history, 2, MARCH.start.date() + timedelta(days=1))
    world = World(history.url, now=MARCH.end + timedelta(hours=3))
    asyncio.run(deliver_all(world, MONTHLY, 8 if is_split else 10**6))
    rows = {
        (row["organization_id"].int, row["event_type"]): row["count"]
        for row in history.all("analytics.event_aggregates")
        if row["event_type"].startswith("monthly:")
    }
    assert rows == {
        (1, "monthly:email_opened"): 1, (1, "monthly:gone"): 0,
        (2, "monthly:email_opened"): 900, (2, "monthly:gone"): 900,
    }  # fmt: skip
    [reported] = world.named("event.before_retention")
    assert (reported["organization_id"], reported["count"]) == (str(org(2)), 27)
