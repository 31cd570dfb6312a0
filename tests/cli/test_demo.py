"""The demo: its ticks, its database, and that its checks see what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.worker import WORKER
from cli import demo
from cli.counted import PUBLISHED, Counted, Key, Totals
from cli.demo_checks import check_campaigns, check_runs, check_totals
from cli.importer import CAMPAIGNS, FASHION_SHOP, RETAILER, Event, load_events
from local.database_url import connect, with_database
from local.postgres import Server
from local.runtime import LocalRuntime
from shared.adapters.postgres import Postgres

DAY = date(2019, 11, 16)
NOON = datetime(2019, 11, 16, 12, tzinfo=UTC)
CRONS = ["0 * * * *", "0 0 * * *", "0 2 * * *", "0 3 1 * *"]


@pytest.fixture
def db(database: str) -> Iterator[Postgres]:
    with closing(Postgres(lambda: connect(database))) as db:
        yield db


def test_the_data_s_weeks_tick_once_an_hour_until_the_month_is_summed_up() -> None:
    first = datetime(2019, 11, 16, tzinfo=UTC)
    ticks = demo.planned_ticks(CRONS, first, datetime(2019, 11, 30, 23, 59, tzinfo=UTC))
    assert ticks[0] == (first + timedelta(hours=1), ["0 * * * *"])
    assert ticks[1] == (first + timedelta(hours=2), ["0 * * * *", "0 2 * * *"])
    assert ticks[-1] == (datetime(2019, 12, 1, 3, tzinfo=UTC), ["0 * * * *", "0 3 1 * *"])
    assert len(ticks) == 15 * 24 + 3
    assert sum("0 0 * * *" in crons for _, crons in ticks) == 15


@given(
    first=st.datetimes(datetime(2019, 1, 1), datetime(2020, 12, 1)), span_s=st.integers(0, 500_000)
)
def test_no_hour_of_the_data_is_left_out_or_ticks_twice(first: datetime, span_s: int) -> None:
    first = first.replace(tzinfo=UTC)
    last = first + timedelta(seconds=span_s)
    ends = [at for at, crons in demo.planned_ticks(CRONS, first, last) if "0 * * * *" in crons]
    assert {later - at for at, later in pairwise(ends)} <= {timedelta(hours=1)}
    assert ends[0] - timedelta(hours=1) <= first
    assert last < ends[-1]


def test_each_demo_begins_with_an_empty_database(postgres: Server) -> None:
    for _ in range(2):
        url = demo.fresh_database(postgres.url)
        with closing(connect(url)) as connection:
            [[events]] = connection.run("select count(*) from analytics.contact_activity")
            assert events == 0
            connection.run(
                "insert into analytics.contact_activity"
                " (organization_id, contact_id, event_type, occurred_at)"
                " values (gen_random_uuid(), gen_random_uuid(), 'left_over', now())"
            )
    with closing(connect(with_database(postgres.url, "postgres"))) as admin:
        admin.run(f"drop database {demo.DATABASE}")


EXPECTED: dict[Key, Totals] = {
    (RETAILER, DAY, "email_sent"): (10, 8),
    (RETAILER, DAY + timedelta(days=1), "email_sent"): (4, 4),
    (FASHION_SHOP, DAY, "recommendation_shown"): (3, 1),
}


def test_equal_totals_are_right_and_summed_by_organisation_and_type() -> None:
    checked = check_totals("Daily rollups", EXPECTED, EXPECTED)
    assert checked.is_right
    assert {tuple(row.values()) for row in checked.rows} == {
        ("fashion shop", "recommendation_shown", "3 = 3", "1 = 1", True),
        ("retailer", "email_sent", "14 = 14", "12 = 12", True),
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {(RETAILER, DAY, "email_sent"): (9, 8)},
        {(RETAILER, DAY, "email_sent"): (10, 7)},
        {(RETAILER, DAY, "email_lost"): (1, 1)},
        {(UUID(int=9), DAY, "email_sent"): (1, 1)},
        # Two days that are wrong by as much: the sums are as they should be.
        {
            (RETAILER, DAY, "email_sent"): (9, 8),
            (RETAILER, DAY + timedelta(days=1), "email_sent"): (5, 4),
        },
    ],
)
def test_a_wrong_day_is_seen(wrong: dict[Key, Totals]) -> None:
    assert not check_totals("Daily rollups", EXPECTED | wrong, EXPECTED).is_right


def test_a_missing_day_is_seen_and_so_is_a_table_without_rows() -> None:
    [missing, *_] = EXPECTED
    found = {key: totals for key, totals in EXPECTED.items() if key != missing}
    assert not check_totals("Daily rollups", found, EXPECTED).is_right
    assert not check_totals("Daily rollups", {}, {}).is_right


def test_runs_that_did_not_succeed_and_dead_letters_are_seen(db: Postgres) -> None:
    assert not check_runs(db).is_right  # nothing ran
    db.execute(
        "insert into ops.job_runs"
        " (job_type, window_start, window_end, status, trigger, scheduled_for)"
        " values ('a.b', :start, :at, 'succeeded', 'cron', :at)",
        start=NOON - timedelta(hours=1),
        at=NOON,
    )
    assert check_runs(db).is_right
    db.execute(
        "insert into ops.dead_letters (queue, message_id, reason, attempts, dead_at)"
        " values ('q', 'm', 'failed', 1, now())"
    )
    assert not check_runs(db).is_right
    db.execute("delete from ops.dead_letters")
    db.execute("update ops.job_runs set status = 'failed'")
    assert not check_runs(db).is_right


def test_campaigns_must_have_the_published_rates(db: Postgres) -> None:
    counted = Counted({}, *(_by_campaign(place) for place in (0, 1)))  # type: ignore[arg-type]
    assert not check_campaigns(db, counted).is_right  # no rows yet
    for name, (customers, visits, _) in PUBLISHED.items():
        db.execute(
            "insert into analytics.campaign_daily_stats"
            " (campaign_id, organization_id, date, sent, delivered, unique_opened, unique_clicked)"
            " values (:id, :organization, :day, :sent, :sent, :visits, :visits)",
            id=CAMPAIGNS[name], organization=RETAILER, day=DAY, sent=customers, visits=visits,
        )  # fmt: skip
    checked = check_campaigns(db, counted)
    assert checked.is_right
    assert [row["clicked_of_delivered"] for row in checked.rows] == ["18.28 %", "15.14 %"]
    db.execute("update analytics.campaign_daily_stats set unique_clicked = unique_clicked - 1")
    assert not check_campaigns(db, counted).is_right


def _by_campaign(place: int) -> dict[UUID, Any]:
    return {CAMPAIGNS[name]: figures[place] for name, figures in PUBLISHED.items()}


@pytest.mark.e2e
def test_ticks_go_through_the_real_worker_one_after_the_other(database: str, db: Postgres) -> None:
    events = [
        Event(RETAILER, UUID(int=contact), "email_sent", None, None, NOON + lag, str(contact))
        for contact, lag in enumerate([timedelta(0), timedelta(minutes=59), timedelta(hours=2)])
    ]
    with closing(connect(database)) as connection:
        load_events(connection, events)
    with LocalRuntime(database, envs=[WORKER.env]) as runtime:
        for hour in (1, 2, 3):
            demo.run_tick(runtime, (NOON + timedelta(hours=hour), ["0 * * * *"]))
            assert [row["running"] for row in db.rows(UNFINISHED)] == [0]
    runs = db.rows("select distinct trigger, status, overdue_at from ops.job_runs")
    assert runs == [{"trigger": "cron", "status": "succeeded", "overdue_at": None}]
    [day] = db.rows("select count, unique_count from analytics.daily_aggregates")
    assert (day["count"], day["unique_count"]) == (3, 3)


UNFINISHED = "select count(*) as running from ops.job_runs where status <> 'succeeded'"
