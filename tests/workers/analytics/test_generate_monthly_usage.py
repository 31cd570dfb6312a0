"""The month's usage on a real Postgres, compared with figures in plain Python."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.store import figures
from analytics.store.hours import Hour, book_hour
from shared.ledger import shards as planner
from shared.messages import Shard
from shared.windows import Window
from tests.fakes import World
from tests.thorough import examples
from tests.workers.analytics.history import History, Undone, deliver, deliver_shards, org

FEBRUARY = Window(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
FIRST = FEBRUARY.start.date()
BODY = {"type": "analytics.generate-monthly-usage", "scheduledFor": "2026-03-01T03:00:00Z"}

Usage = dict[tuple[UUID, str], tuple[int, int]]


@pytest.fixture
def history(database: str) -> Iterator[History]:
    history = History(database)
    with closing(history.db):
        yield history


def add(history: History, organization: int, contact: int, kind: str, day: float) -> None:
    """An event on a day of February: 1.5 is noon of the first."""
    occurred = FEBRUARY.start + timedelta(days=day - 1)
    history.add(organization, contact, kind, None, occurred)


def close_rollups(history: History) -> None:
    """Write the daily rollups of all events, counted in plain Python."""
    seen: dict[tuple[UUID, date, str], list[UUID]] = {}
    for event in history.events:
        if not event.event_type.startswith("monthly:"):
            key = (event.organization_id, event.occurred_at.date(), event.event_type)
            seen.setdefault(key, []).append(event.contact_id)
    history.db.execute(
        "update analytics.event_aggregates set count = 0, unique_count = 0 where channel is null"
    )
    for (organization, day, kind), contacts in seen.items():
        history.db.execute(
            "insert into analytics.event_aggregates values (:a, :b, :c, null, :d, :e)"
            " on conflict (organization_id, date, event_type) do update set"
            " count = excluded.count, unique_count = excluded.unique_count",
            a=organization, b=day, c=kind, d=len(contacts), e=len(set(contacts)),
        )  # fmt: skip


def run(history: History, shard: Shard | None = None) -> figures.Reported:
    with history.db.transaction():
        return figures.set_monthly_usage(history.db, FEBRUARY, shard)


def usage(history: History) -> Usage:
    """The monthly rows that are not 0, by their type without its prefix."""
    rows = history.db.rows(
        "select * from analytics.event_aggregates where channel = 'monthly_summary' and count > 0"
    )
    assert all(row["date"] == FIRST and row["event_type"].startswith("monthly:") for row in rows)
    return {
        (row["organization_id"], row["event_type"][8:]): (row["count"], row["unique_count"])
        for row in rows
    }


def expected(history: History) -> Usage:
    contacts: dict[tuple[UUID, str], list[UUID]] = {}
    for event in history.events:
        if (
            FEBRUARY.start <= event.occurred_at < FEBRUARY.end
            and event.event_type[:8] != "monthly:"
        ):
            key = (event.organization_id, event.event_type)
            contacts.setdefault(key, []).append(event.contact_id)
    return {key: (len(seen), len(set(seen))) for key, seen in contacts.items()}


def test_sums_days_and_counts_a_contact_once_a_month(history: History) -> None:
    for day, contact in ((1.0, 1), (2.5, 1), (2.6, 2), (28.9, 1)):
        add(history, 1, contact, "email_opened", day)
    close_rollups(history)
    assert run(history) == figures.Reported(4, 1, {}, {})
    assert usage(history) == {(org(1), "email_opened"): (4, 2)}
    assert run(history).rows_written == 0


def test_the_month_is_half_open(history: History) -> None:
    for day in (0.999, 1.0, 28.999, 29.0):
        add(history, 1, 1, "email_sent", day)
    close_rollups(history)
    run(history)
    assert usage(history) == {(org(1), "email_sent"): (2, 1)}


def test_a_row_whose_source_is_gone_becomes_zero(history: History) -> None:
    add(history, 1, 1, "email_sent", 3)
    close_rollups(history)
    run(history)
    history.delete(history.events[0])
    close_rollups(history)
    assert run(history).rows_written == 1
    [row] = history.db.rows(
        "select * from analytics.event_aggregates where event_type like 'monthly:%'"
    )
    assert (row["count"], row["unique_count"]) == (0, 0)
    assert run(history).rows_written == 0


def test_monthly_rows_are_no_source_and_no_daily_figure(history: History) -> None:
    add(history, 1, 1, "email_sent", 1)
    close_rollups(history)
    for _ in range(3):
        run(history)
    assert usage(history) == {(org(1), "email_sent"): (1, 1)}
    daily = history.all("analytics.daily_aggregates")
    assert [row["event_type"] for row in daily] == ["email_sent"]


def test_late_rollups_are_reported_and_stop_no_other_organization(history: History) -> None:
    """An unbooked event counts in neither figure; the run after it was booked has it."""
    for organization in (1, 2):
        add(history, organization, 1, "email_sent", 3)
    close_rollups(history)
    add(history, 1, 2, "email_sent", 3)
    add(history, 3, 1, "email_sent", 3)
    assert run(history).noticed == {str(org(1)): 1, str(org(3)): 1}
    assert usage(history) == {(org(n), "email_sent"): (1, 1) for n in (1, 2)}
    close_rollups(history)
    assert run(history).noticed == {}
    assert usage(history) == expected(history)


def test_the_hourly_job_s_own_rollups_are_the_source(history: History) -> None:
    for day in (1.0, 1.01, 14.5, 28.99):
        add(history, 1, int(day), "email_sent", day)
    for event in history.events:
        hour = event.occurred_at.replace(minute=0, second=0, microsecond=0)
        with history.db.transaction():
            book_hour(history.db, Hour(Window(hour, hour + timedelta(hours=1))))
    assert run(history).noticed == {}
    assert usage(history) == expected(history)


def test_waits_for_hours_of_the_month_that_are_under_way(history: History) -> None:
    world = World(history.url, now=datetime(2026, 3, 1, 3, tzinfo=UTC))
    last_hour = {"type": "analytics.aggregate-hourly", "scheduledFor": "2026-03-01T00:00:00Z"}
    add(history, 1, 1, "email_sent", 28.99)
    history.db.execute(
        "insert into ops.job_runs"
        " (job_type, window_start, window_end, status, trigger, scheduled_for)"
        " values ('analytics.aggregate-hourly', :start, :end, 'queued', 'cron', :end)",
        start=FEBRUARY.end - timedelta(hours=1),
        end=FEBRUARY.end,
    )

    async def in_turn() -> list[str | None]:
        answers = [
            await deliver(world, body, f"m{n}") for n, body in enumerate((BODY, last_hour, BODY))
        ]
        return [delivery.answer for delivery in answers]

    assert asyncio.run(in_turn()) == ["ack", "ack", "ack"]
    assert usage(history) == {(org(1), "email_sent"): (1, 1)}


def test_both_names_mean_the_same_window(history: History) -> None:
    add(history, 1, 1, "email_sent", 5)
    close_rollups(history)
    world = World(history.url, now=datetime(2026, 3, 1, 3, tzinfo=UTC))
    asyncio.run(deliver(world, BODY | {"type": "analytics.monthly-usage-summary"}, "message-1"))
    [row] = history.all("ops.job_runs")
    assert (row["job_type"], row["status"]) == ("analytics.generate-monthly-usage", "succeeded")
    assert (row["window_start"], row["window_end"]) == (FEBRUARY.start, FEBRUARY.end)


def test_a_large_month_is_split_and_its_shards_make_the_same_rows(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "SHARD_EVENTS_TARGET", 4)
    for organization in range(1, 7):
        for contact in range(2):
            add(history, organization, contact, "email_opened", 3 + contact)
    close_rollups(history)
    world = World(history.url, now=datetime(2026, 3, 1, 3, tzinfo=UTC))

    async def both() -> int:
        await deliver(world, BODY, "message-1")
        return await deliver_shards(world)

    assert asyncio.run(both()) == 3
    assert usage(history) == expected(history)
    [row] = history.db.rows("select * from ops.job_runs where shard = ''")
    assert (row["status"], row["rows_read"], row["rows_written"]) == ("succeeded", 12, 6)
    assert run(history).rows_written == 0


KINDS = ["email_sent", "email_opened", "monthly:email_sent", "form submitted ✓"]
EVENTS = st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.sampled_from(KINDS), st.floats(0, 30, width=16)
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), EVENTS),
        st.tuples(st.just("delete"), st.integers(0, 50)),
        st.tuples(st.sampled_from(["close", "run", "undo", "shards"]), st.none()),
    ),
    max_size=30,
)


def step(history: History, what: str, value: Any) -> None:
    """One possible action, including a run that is aborted at its end."""
    if what == "add":
        add(history, *value)
    elif what == "delete" and history.events:
        history.delete(history.events[value % len(history.events)])
    elif what == "close":
        close_rollups(history)
    elif what == "run":
        run(history)
    elif what == "shards":
        for first, until in ((org(2), None), (None, org(2))):
            part = {"index": 1, "of": 2, "firstOrganization": first, "untilOrganization": until}
            run(history, Shard.model_validate(part))
    elif what == "undo":
        with suppress(Undone), history.db.transaction():
            figures.set_monthly_usage(history.db, FEBRUARY)
            raise Undone


@settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_any_history_ends_as_the_events_say(history: History, steps: list[Any]) -> None:
    """After any mixture: once the rollups are complete and the month was run again, all is
    correct.
    """
    history.clear("event_aggregates")
    for what, value in steps:
        step(history, what, value)
    close_rollups(history)
    for _ in range(2):
        assert run(history).noticed == {}
        assert usage(history) == expected(history)
