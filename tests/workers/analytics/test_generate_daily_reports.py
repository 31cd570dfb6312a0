"""The reports of campaigns on a real Postgres, compared with figures in plain Python."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.store import figures, statements
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.errors import DatabaseError
from shared.ledger import shards as planner
from shared.messages import Shard
from shared.windows import Window
from tests.fakes import World
from tests.thorough import examples
from tests.workers.analytics.history import (
    DAY,
    Event,
    History,
    Undone,
    day_window,
    deliver,
    deliver_shards,
    org,
)

TYPES = ("sent", "delivered", "opened", "clicked", "bounced", "complained", "unsubscribed")
COLUMNS = (*TYPES, "unique_opened", "unique_clicked")
CAMPAIGN = "0f9a3c00-0000-4000-8000-00000000000{}"

Reports = dict[tuple[UUID, UUID, date], dict[str, int]]


def campaign(n: int) -> UUID:
    return UUID(CAMPAIGN.format(n))


def span_of(window: Window) -> Window:
    return Window(window.start - timedelta(days=2), window.end)


def run(db: Postgres, window: Window, shard: Shard | None = None) -> figures.Reported:
    with db.transaction():
        return figures.report_days(db, span_of(window), window, shard)


def reports(history: History) -> Reports:
    """The rows that are not all zeros."""
    rows = history.all("analytics.campaign_daily_stats")
    found = {
        (r["campaign_id"], r["organization_id"], r["date"]): {c: r[c] for c in COLUMNS}
        for r in rows
    }
    return {key: row for key, row in found.items() if any(row.values())}


def expected(events: list[Event], campaigns: dict[str | None, UUID]) -> Reports:
    """Return the expected figures; `campaigns` maps the sources that are campaigns."""
    figures: Reports = {}
    seen: set[tuple[object, ...]] = set()
    for event in events:
        kind = event.event_type.removeprefix("email_")
        if event.source not in campaigns or kind not in TYPES or kind == event.event_type:
            continue
        key = (campaigns[event.source], event.organization_id, event.occurred_at.date())
        row = figures.setdefault(key, dict.fromkeys(COLUMNS, 0))
        row[kind] += 1
        if kind in ("opened", "clicked") and (key, kind, event.contact_id) not in seen:
            seen.add((key, kind, event.contact_id))
            row[f"unique_{kind}"] += 1
    return figures


@pytest.fixture
def history(database: str) -> Iterator[History]:
    history = History(database)
    with closing(history.db):
        yield history


def noon(days: int = 0) -> datetime:
    return DAY + timedelta(days=days, hours=12)


def test_counts_every_kind_and_the_distinct_contacts(history: History) -> None:
    for kind, contact in (("sent", 1), ("sent", 2), ("delivered", 1), ("opened", 1), ("opened", 1),
                          ("opened", 2), ("clicked", 2), ("clicked", 2), ("bounced", 2),
                          ("complained", 1), ("unsubscribed", 1)):  # fmt: skip
        history.add(1, contact, f"email_{kind}", CAMPAIGN.format(1), noon())
    assert run(history.db, day_window(0)) == figures.Reported(11, 1, {}, {})
    assert reports(history) == {
        (campaign(1), org(1), DAY.date()): {
            "sent": 2, "delivered": 1, "opened": 3, "unique_opened": 2, "clicked": 2,
            "unique_clicked": 1, "bounced": 1, "complained": 1, "unsubscribed": 1,
        }
    }  # fmt: skip


def test_days_are_half_open(history: History) -> None:
    tick = timedelta(microseconds=1)
    for when in (DAY - tick, DAY, DAY + timedelta(days=1) - tick, DAY + timedelta(days=1)):
        history.add(1, 1, "email_sent", CAMPAIGN.format(1), when)
    run(history.db, day_window(0))
    sent = {key[2]: row["sent"] for key, row in reports(history).items()}
    assert sent == {DAY.date() - timedelta(days=1): 1, DAY.date(): 2}


def test_an_unchanged_row_is_not_written(history: History) -> None:
    history.add(1, 1, "email_sent", CAMPAIGN.format(1), noon())
    history.add(1, 1, "email_sent", CAMPAIGN.format(2), noon())
    assert run(history.db, day_window(0)).rows_written == 2
    assert run(history.db, day_window(0)).rows_written == 0
    history.add(1, 1, "email_sent", CAMPAIGN.format(2), noon())
    assert run(history.db, day_window(0)).rows_written == 1


def test_a_campaign_that_lost_its_events_keeps_a_row_of_zeros(history: History) -> None:
    event = history.add(1, 1, "email_clicked", CAMPAIGN.format(1), noon())
    run(history.db, day_window(0))
    history.delete(event)
    assert run(history.db, day_window(0)).rows_written == 1
    assert run(history.db, day_window(0)).rows_written == 0
    [row] = history.all("analytics.campaign_daily_stats")
    assert not any(row[column] for column in COLUMNS)


def test_late_events_of_the_two_days_before_are_counted_and_older_ones_left(
    history: History,
) -> None:
    for days in (0, 1, 2, 3):
        run(history.db, day_window(days))
    for days in (0, 1, 2, 3):
        history.add(1, 1, "email_sent", CAMPAIGN.format(1), noon(days))
    run(history.db, day_window(3))
    assert [key[2].day for key in sorted(reports(history), key=str)] == [11, 12, 13]


def test_sources_that_are_no_campaigns_are_passed_over_and_named(history: History) -> None:
    for organization, source in ((1, "journey:7"), (1, ""), (2, None), (3, CAMPAIGN.format(1))):
        history.add(organization, 1, "email_sent", source, noon())
    assert run(history.db, day_window(0)).noticed == {str(org(1)): 2}
    assert list(reports(history)) == [(campaign(1), org(3), DAY.date())]


def test_spellings_of_one_uuid_are_one_campaign(history: History) -> None:
    plain = CAMPAIGN.format(1)
    for source in (plain, plain.upper(), f"{{{plain}}}", plain.replace("-", "")):
        history.add(1, 1, "email_opened", source, noon())
    run(history.db, day_window(0))
    [row] = reports(history).values()
    assert (row["opened"], row["unique_opened"]) == (4, 1)


PLAIN = CAMPAIGN.format(1)
MUTATIONS = st.tuples(
    st.sampled_from([PLAIN, PLAIN.upper(), f"{{{PLAIN}}}", PLAIN.replace("-", ""), ""]),
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from([*"-{}g0 \nａ", ""])), max_size=3),
)


def mutate(text: str, changes: list[tuple[int, str]]) -> str:
    for position, new in changes:
        text = text[:position] + new + text[position + (new == "") :]
    return text


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(MUTATIONS, min_size=1, max_size=12))
def test_a_source_is_a_campaign_where_postgres_can_cast_it(
    history: History, seeds: list[Any]
) -> None:
    """Postgres itself decides which texts those are; the job neither fails nor misses one."""
    history.clear("campaign_daily_stats")
    sources = [mutate(*seed) for seed in seeds]
    for source in sources:
        history.add(1, 1, "email_sent", source, noon())
    run(history.db, day_window(0))
    valid = history.db.rows(
        "select cast(source as uuid) as id from unnest(cast(:sources as text[])) as given (source)"
        " where pg_input_is_valid(source, 'uuid')",
        sources=sources,
    )
    ids = [row["id"] for row in valid]
    assert {key[0]: row["sent"] for key, row in reports(history).items()} == {
        each: ids.count(each) for each in ids
    }


CAMPAIGNS: dict[str | None, UUID] = {
    CAMPAIGN.format(1): campaign(1),
    CAMPAIGN.format(1).upper(): campaign(1),
    CAMPAIGN.format(2): campaign(2),
}
SOURCES = [*CAMPAIGNS, None, "journey", "0f9a3c00"]
KINDS = ["email_sent", "email_opened", "email_clicked", "email_unsubscribed", "page_visited"]
EVENTS = st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.sampled_from(KINDS), st.sampled_from(SOURCES),
    st.integers(0, 4 * 24),
)  # fmt: skip
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), EVENTS),
        st.tuples(st.just("add"), EVENTS),
        st.tuples(st.just("delete"), st.integers(0, 50)),
        st.tuples(st.sampled_from(["run", "undo"]), st.integers(0, 5)),
        st.tuples(st.just("shards"), st.integers(0, 5)),
    ),
    max_size=40,
)


def step(history: History, what: str, value: Any) -> None:
    """One possible action, including a run that is aborted at its end."""
    if what == "add":
        organization, contact, kind, source, hour = value
        history.add(organization, contact, kind, source, DAY + timedelta(hours=hour))
    elif what == "delete" and history.events:
        history.delete(history.events[value % len(history.events)])
    elif what == "run":
        run(history.db, day_window(value))
    elif what == "shards":
        for first, until in ((None, org(2)), (org(2), org(3)), (org(3), None)):
            part = {"index": 1, "of": 3, "firstOrganization": first, "untilOrganization": until}
            run(history.db, day_window(value), Shard.model_validate(part))
    elif what == "undo":
        window = day_window(value)
        with suppress(Undone), history.db.transaction():
            figures.report_days(history.db, span_of(window), window)
            raise Undone


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, order=st.randoms(use_true_random=False))
def test_any_history_in_any_order_ends_as_the_events_say(
    history: History, steps: list[Any], order: Any
) -> None:
    """After any mixture: once each day was run again, in any order, the rows equal the events."""
    history.clear("campaign_daily_stats")
    for what, value in steps:
        step(history, what, value)
    windows = list(range(6))
    order.shuffle(windows)
    for day in windows:
        run(history.db, day_window(day))
    assert reports(history) == expected(history.events, CAMPAIGNS)


def test_a_run_that_was_held_up_does_not_bring_back_old_figures(history: History) -> None:
    """It has counted, and waits for a row; the next window's run must count after it has ended."""
    for organization in (1, 2):
        history.add(organization, 1, "email_sent", CAMPAIGN.format(1), noon())
    run(history.db, day_window(0))
    history.add(1, 2, "email_sent", CAMPAIGN.format(1), noon())
    history.add(2, 2, "email_sent", CAMPAIGN.format(1), noon())
    only_two = Shard.model_validate({"index": 2, "of": 2, "firstOrganization": org(2)})
    with closing(connect(history.url)) as holder:
        holder.run("begin")
        holder.run(
            "select 1 from analytics.campaign_daily_stats where organization_id = :o for update",
            o=org(1),
        )
        first = threaded(history, day_window(0), None)
        await_blocked(history, 1)
        history.add(2, 3, "email_sent", CAMPAIGN.format(1), noon())
        second = threaded(history, day_window(1), only_two)
        await_blocked(history, 2)
        holder.run("rollback")
        first.join()
        second.join()
    assert {key[1].int: row["sent"] for key, row in reports(history).items()} == {1: 2, 2: 3}


def threaded(history: History, window: Window, shard: Shard | None) -> threading.Thread:
    def work() -> None:
        with closing(Postgres(lambda: connect(history.url))) as db:
            run(db, window, shard)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def await_blocked(history: History, count: int) -> None:
    """Wait until this many connections wait for a lock, or half a second has passed."""
    for _ in range(50):
        [row] = history.db.rows(
            "select count(*) as count from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )
        if row["count"] >= count:
            return
        threading.Event().wait(0.01)


def part_of(index: int, first: UUID | None, until: UUID | None) -> Shard:
    return Shard.model_validate(
        {"index": index, "of": 2, "firstOrganization": first, "untilOrganization": until}
    )


def run_impatiently(db: Postgres, window: Window, shard: Shard | None) -> None:
    with db.transaction():
        db.execute("set local lock_timeout = '100ms'")
        figures.report_days(db, span_of(window), window, shard)


def test_only_shards_of_a_window_share_its_days(history: History) -> None:
    window = day_window(0)
    with history.db.transaction():
        for split in (day_window(1), window):
            days = statements.days_of(span_of(split))
            statements.leave_days_to_shards(history.db, statements.DAILY, days, split)
    other = Postgres(lambda: connect(history.url))
    with closing(other), history.db.transaction():
        figures.report_days(history.db, span_of(window), window, part_of(1, None, org(2)))
        run_impatiently(other, window, part_of(2, org(2), None))
        for late, shard in ((day_window(1), None), (day_window(1), part_of(2, org(2), None))):
            with pytest.raises(DatabaseError, match="55P03"):
                run_impatiently(other, late, shard)


def test_a_large_window_is_split_and_its_shards_make_the_same_rows(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "SHARD_EVENTS_TARGET", 5)
    for organization in range(1, 6):
        for contact in range(3):
            history.add(organization, contact, "email_opened", CAMPAIGN.format(contact), noon())
    world = World(history.url, now=DAY + timedelta(days=1, hours=2))
    body = {"type": "analytics.generate-daily-reports"}

    async def both() -> int:
        await deliver(world, body, "message-1")
        assert reports(history) == {}
        return await deliver_shards(world)

    assert asyncio.run(both()) == 7  # two days without an event, and one of five organizations
    assert reports(history) == expected(
        history.events, {CAMPAIGN.format(n): campaign(n) for n in range(3)}
    )
    [row] = history.db.rows("select * from ops.job_runs where shard = ''")
    assert (row["status"], row["rows_read"], row["rows_written"]) == ("succeeded", 15, 15)
    assert run(history.db, day_window(0)).rows_written == 0


def test_the_run_says_whose_sources_it_passed_over(history: History) -> None:
    history.add(1, 1, "email_sent", "journey", noon())
    world = World(history.url, now=DAY + timedelta(days=1, hours=2))
    delivery = asyncio.run(
        deliver(world, {"type": "analytics.generate-daily-reports"}, "message-1")
    )
    assert delivery.answer == "ack"
    [event] = world.named("campaign.invalid_source")
    assert (event["organization_id"], event["count"]) == (str(org(1)), 1)
