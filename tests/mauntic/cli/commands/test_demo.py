"""The demo: its ticks, its database, and that its checks find errors."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, nullcontext
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.worker import WORKER
from mauntic.cli.commands import demo
from mauntic.cli.commands.demo import Result
from mauntic.database.embedded.account import account_for, temporary_directory
from mauntic.database.embedded.server import Server, open_database
from mauntic.database.url import DatabaseUnavailable, connect, with_database
from mauntic.demo.checks import Check, check_campaigns, check_runs, check_totals
from mauntic.demo.database import fresh_database, how_to_look
from mauntic.demo.expected import PUBLISHED, ExpectedCounts, Key, Totals
from mauntic.demo.expected_scores import score_of
from mauntic.demo.importer import (
    CAMPAIGNS,
    FASHION_SHOP,
    RETAILER,
    Event,
    Imported,
    hillstrom_contacts,
    hillstrom_events,
    load_contacts,
    load_events,
    rows_of,
)
from mauntic.demo.scoring import best, check_scores, map_customers
from mauntic.errors import OperatorError
from mauntic.local.control_client import LocalRuntime, RuntimeFailed
from mauntic.operations.statements import SQL
from scoring.store.fold import fold_changes
from scoring.store.statements import recompute_backlog
from shared.adapters.postgres.client import Postgres
from shared.ledger.shards import KeyRange
from tests.mauntic.harness import Cli

DAY = date(2019, 11, 16)
NOON = datetime(2019, 11, 16, 12, tzinfo=UTC)
CRONS = ["0 * * * *", "0 0 * * *", "0 2 * * *", "0 3 1 * *"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that the embedded server's account can reach."""
    directory = temporary_directory(account_for(None))
    yield directory
    shutil.rmtree(directory)


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
        with fresh_database(postgres.url) as url, closing(connect(url)) as connection:
            [[events]] = connection.run("select count(*) from analytics.contact_activity")
            assert events == 0
            connection.run(
                "insert into analytics.contact_activity"
                " (organization_id, contact_id, event_type, occurred_at)"
                " values (gen_random_uuid(), gen_random_uuid(), 'left_over', now())"
            )


def test_a_demo_takes_nothing_from_another_or_from_who_looks_at_the_last(postgres: Server) -> None:
    with fresh_database(postgres.url) as url:
        with (
            pytest.raises(OperatorError, match="Another `mauntic demo`"),
            fresh_database(postgres.url),
        ):
            pass
        looking = connect(url)
    with closing(looking):
        with (
            pytest.raises(OperatorError, match="Another session uses"),
            fresh_database(postgres.url),
        ):
            pass
        assert looking.run("select count(*) from ops.job_runs") == [[0]]


def test_a_demo_waits_for_the_session_of_one_that_has_just_ended(postgres: Server) -> None:
    """Its process is gone, and Postgres has not noticed yet."""
    leaving = connect(with_database(postgres.url, "postgres"))
    leaving.run(SQL["demo_lock"])
    gone = threading.Timer(0.3, leaving.close)
    gone.start()
    with fresh_database(postgres.url) as url, closing(connect(url)) as connection:
        assert connection.run("select count(*) from ops.job_runs") == [[0]]
    gone.join()


def test_the_lock_of_a_demo_is_free_as_soon_as_it_has_ended(postgres: Server) -> None:
    with closing(connect(with_database(postgres.url, "postgres"))) as other:
        with fresh_database(postgres.url):
            assert other.run(SQL["demo_lock"]) == [[False]]
        assert other.run(SQL["demo_lock"]) == [[True]]


def test_what_stays_can_be_looked_at(cli: Cli, folder: Path) -> None:
    """As in the demo's last line, although its server has ended."""
    with Server(folder, durable=False) as server, fresh_database(server.url) as url:
        assert url.endswith("/mauntic_demo")
    hint = how_to_look({}, "someone", NOON).split()
    environment = dict([hint[-7].split("=", 1)])
    with open_database(environment, folder) as named, closing(connect(named.url)) as connection:
        assert connection.run("select count(*) from ops.job_runs") == [[0]]
    with pytest.raises(DatabaseUnavailable, match='"nowhere" does not exist'):
        open_database({"DATABASE_URL": "postgresql:///nowhere"}, folder).__enter__()
    assert "of that server" in how_to_look({"DATABASE_URL": url}, "someone", NOON)


class Stuck:
    """A runtime whose queues never become empty, as if its database were gone."""

    def __init__(self, database_url: str) -> None:
        self.database_url = database_url
        self.control = self
        self.waited_s = 0.0

    def fire_cron(self, *_: object) -> dict[str, str]:
        return {"outcome": "ok"}

    def wait_idle(self, _queues: object, timeout_s: float, **_: object) -> bool:
        self.waited_s += timeout_s
        return False


def test_a_demo_whose_database_is_killed_names_the_cause(folder: Path) -> None:
    with Server(folder, durable=False) as server:
        runtime = Stuck(server.url)
        server.kill()
        with pytest.raises(
            RuntimeFailed, match=r"^The database at .* has ended .*2019-11-16T12:00Z"
        ):
            demo.fire(runtime, WORKER, CRONS[0], NOON)  # type: ignore[arg-type]
    assert runtime.waited_s <= 5


def test_after_an_interrupt_the_workers_troubles_are_no_news(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trouble = {"event": "log", "level": "error", "text": "fetch failed"}
    heeded = demo._errors_only()
    show = heeded.__enter__()
    show(trouble)
    show({"event": "log", "level": "info", "text": "no trouble"})
    heeded.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    show(trouble)
    output = capsys.readouterr().err
    assert output.count("fetch failed") == 1
    assert "no trouble" not in output


@pytest.mark.parametrize("is_right", [True, False])
def test_the_result_is_printed_for_people_and_for_programs(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, is_right: bool
) -> None:
    rows = [{"organization": "retailer", "equal": is_right}]
    result = Result(Imported(3, 2), [Check("Rollups", rows, is_right)], [{"contact": "c"}], NOON)
    monkeypatch.setattr(demo, "_start", lambda took: nullcontext((None, "")))
    monkeypatch.setattr(demo, "run", lambda runtime, url, took: result)
    answer = cli("demo", "--json")
    assert answer.code == (0 if is_right else 1)
    assert (answer.json["wrong"], answer.json["checks"][0]["rows"]) == (
        [] if is_right else ["Rollups"],
        rows,
    )
    output = cli("demo").out
    assert "3 events, 2 contacts imported" in output
    assert ("all equal" if is_right else "differs from the source: Rollups") in output


EXPECTED: dict[Key, Totals] = {
    (RETAILER, DAY, "email_sent"): (10, 8),
    (RETAILER, DAY + timedelta(days=1), "email_sent"): (4, 4),
    (FASHION_SHOP, DAY, "recommendation_shown"): (3, 1),
}


def test_equal_totals_are_right_and_summed_by_organization_and_type() -> None:
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
        # Two days with opposite errors: the sums are correct.
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
    counted = ExpectedCounts({}, *(_by_campaign(place) for place in (0, 1)))  # type: ignore[arg-type]
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


def row_of(**fields: str) -> dict[str, str]:
    usual = {
        "history_segment": "3) $200 - $350", "channel": "Web", "newbie": "1", "visit": "0",
        "conversion": "0", "segment": "Womens E-Mail",
    }  # fmt: skip
    return usual | fields


VISITED = {"visit": "1"}
BOUGHT = {"visit": "1", "conversion": "1"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 20),  # mid 10, director 10
        ({"history_segment": "1) $0 - $100", "channel": "Phone"}, 10),
        ({"history_segment": "7) $1,000 +", "channel": "Multichannel", "newbie": "0"}, 45),
        (VISITED, 35),  # 10 for three events, and 5 for a visit of this very moment
        (VISITED | {"segment": "No E-Mail"}, 25),  # one event alone
        (BOUGHT, 65),  # a purchase ten minutes later, which has not happened yet, is no figure
    ],
)
def test_a_customer_s_score_is_worked_out_from_the_file(
    fields: dict[str, str], expected: int
) -> None:
    """Customer 0 visits at the start of the day after the e-mails; ten minutes later, little has
    decayed.
    """
    at = datetime(2019, 11, 17, tzinfo=UTC) + timedelta(seconds=620)
    assert score_of(0, row_of(**fields), at) == expected


def test_signals_fade_in_the_reference_too() -> None:
    """Half a week later a visit is worth 2.5, and a purchase 30 / e^1.5 = 6.7."""
    bought = datetime(2019, 11, 17, tzinfo=UTC) + timedelta(seconds=600)
    assert score_of(0, row_of(**BOUGHT), bought + timedelta(hours=84)) == 20 + 10 + 9
    assert score_of(0, row_of(**BOUGHT), bought + timedelta(hours=169)) == 30


def test_the_customers_scores_are_compared_one_by_one(database: str, db: Postgres) -> None:
    """The first rows of the file through the mapping and the workers' own SQL."""
    count, t = 300, datetime(2019, 12, 1, 3, tzinfo=UTC)
    contacts = list(islice(hillstrom_contacts(), count))
    ids = {contact.contact_id for contact in contacts}
    with closing(connect(database)) as connection:
        load_contacts(connection, contacts)
        events = islice(hillstrom_events(), 4_000)
        load_events(connection, (one for one in events if one.contact_id in ids))
    assert map_customers(db) > 0
    assert map_customers(db) == 0  # the same signals again are none
    with db.transaction():
        fold_changes(db, t)
        recompute_backlog(db, KeyRange(), t)
    rows = enumerate(islice(rows_of("hillstrom.csv.gz"), count))
    expected = {contacts[number].contact_id: score_of(number, row, t) for number, row in rows}
    checked = check_scores(db, expected)
    assert checked.is_right
    assert sum(int(row["customers"].split()[0]) for row in checked.rows) == count
    first = best(db, limit=1)[0]
    assert first["score"] == max(expected.values())
    assert "seniority" in first["contributors"]
    # One point more for one contact and less for another leaves most distributions unchanged.
    db.execute(
        "update scoring.lead_scores set total_score = total_score + 1 where contact_id = :one",
        one=contacts[0].contact_id,
    )
    assert not check_scores(db, expected).is_right


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
