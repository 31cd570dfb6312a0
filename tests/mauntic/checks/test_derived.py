"""`check --deep` finds every difference of a derived table, and its commands correct it."""

from __future__ import annotations

import asyncio
import random
import shlex
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.jobs import generate_daily_reports, generate_monthly_usage
from analytics.worker import WORKER
from mauntic.checks import derived
from mauntic.cli.ui.time_args import moment
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from tests.fakes import World
from tests.mauntic.harness import Cli
from tests.thorough import examples
from tests.workers.analytics.history import deliver
from tests.workers.scoring.stage import opened

FEBRUARY = datetime.fromisoformat("2026-02-27T00:00Z")
DAYS = 3  # the last two days of a month and the first of the next
END = FEBRUARY + timedelta(days=DAYS)
NOW = END + timedelta(days=30)
HOURS = (1, 14)  # of each day that have events
EDITED_HOURS = (3, 14)  # and half a day later
CAMPAIGN = UUID(int=7_001)
TABLES = ("contact_activity", "event_aggregates", "campaign_daily_stats", "hourly_cells")


@pytest.fixture
def db(database: str) -> Iterator[Postgres]:
    with closing(Postgres(lambda: connect(database))) as opened:
        yield opened


def test_windows_are_due_as_the_jobs_declare() -> None:
    assert generate_daily_reports.JOB.schedule == derived.DAILY
    assert generate_monthly_usage.JOB.schedule == derived.MONTHLY


def test_an_import_that_keeps_the_time_of_ingestion_is_found_by_the_ordinary_check(
    cli: Cli, db: Postgres
) -> None:
    """No tick examines the hour of `created_at` again. Events from a moment ago are not a
    finding.
    """
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    day = today - timedelta(days=3)
    for second, created in [*((n, day + timedelta(hours=9)) for n in range(5)), (9, None)]:
        db.execute(
            "insert into analytics.contact_activity"
            " (organization_id, contact_id, event_type, occurred_at, created_at)"
            " values (:one, :one, 'email_clicked', :at, coalesce(:created, now()))",
            one=CAMPAIGN, at=day + timedelta(hours=9, seconds=second), created=created,
        )  # fmt: skip
    assert rollup_problems(cli) == [
        "1 rollup of 1 day differs from its events: mauntic backfill analytics.aggregate-hourly"
        f" --from {day.date()} --to {(day + timedelta(days=1)).date()} --only all"
    ]
    for count in (5, 6):  # without the last, which the next run books, and with it
        db.execute("delete from analytics.event_aggregates")
        db.execute(
            "insert into analytics.event_aggregates"
            " (organization_id, date, event_type, count, unique_count)"
            " values (:one, :day, 'email_clicked', :count, 1)",
            one=CAMPAIGN, day=day.date(), count=count,
        )  # fmt: skip
        assert rollup_problems(cli) == []
    db.execute("update analytics.event_aggregates set count = 7")
    assert len(rollup_problems(cli)) == 1
    db.execute("select ops.purged_before(:day)", day=today.date())
    assert rollup_problems(cli) == []


def rollup_problems(cli: Cli) -> list[str]:
    return [
        one["problem"]
        for one in cli("check", "--json").json["problems"]
        if one["area"] == "rollups"
    ]


def fill(db: Postgres, rng: random.Random) -> None:
    """Events of two organizations, in some hours of three days."""
    for table in TABLES:
        db.execute(f"delete from analytics.{table}")
    db.execute("delete from ops.job_runs")
    for number in range(24):
        kind = rng.choice(["email_opened", "email_clicked", "email_sent", "page_visited"])
        at = FEBRUARY + timedelta(
            days=rng.randrange(DAYS), hours=rng.choice(HOURS), microseconds=number
        )
        db.execute(
            "insert into analytics.contact_activity (id, organization_id, contact_id, event_type,"
            " event_source, occurred_at, created_at)"
            " values (:id, :org, :who, :kind, :source, :at, :at)",
            id=UUID(int=number + 1), org=UUID(int=rng.randint(1, 2)),
            who=UUID(int=rng.randint(1, 4)), kind=kind, source=str(CAMPAIGN), at=at,
        )  # fmt: skip


def run(url: str, job: str, start: datetime, end: datetime, trigger: str) -> None:
    """Run the windows of a range, one after the other, without hours that have no events."""
    schedule = WORKER.by_type[job].schedule
    assert schedule
    world = World(url, now=NOW)
    for window in schedule.between(start, end):
        if "hourly" in job and window.start.hour not in (*HOURS, *EDITED_HOURS):
            continue
        body = {"type": job, "scheduledFor": schedule.planned_for(window).isoformat()}
        delivery = asyncio.run(deliver(world, body | {"trigger": trigger}, f"{trigger} {window}"))
        assert delivery.answer == "ack"


def run_all(url: str, trigger: str = "manual") -> None:
    run(url, "analytics.aggregate-hourly", FEBRUARY, END, trigger)
    run(url, "analytics.generate-daily-reports", FEBRUARY, END, trigger)
    run(url, "analytics.generate-monthly-usage", FEBRUARY.replace(day=1), END, trigger)


def obey(url: str, problem: str) -> None:
    """Run a finding's command."""
    words = shlex.split(problem.partition(": ")[2])
    assert (words[:2], words[3], words[5], words[7:]) == (
        ["mauntic", "backfill"], "--from", "--to", ["--only", "all"],
    )  # fmt: skip
    run(url, words[2], moment(words[4]), moment(words[6]), "backfill")


def differences(db: Postgres) -> derived.Found:
    return derived.differences(db, FEBRUARY, END, NOW)


def counted(db: Postgres) -> dict[str, Any]:
    """Return every derived row of the compared days, counted in plain Python."""
    events = [
        event
        for event in db.rows("select * from analytics.contact_activity")
        if event["occurred_at"] < END
    ]
    days: Counter[Any] = Counter()
    months: Counter[Any] = Counter()
    campaigns: Counter[Any] = Counter()
    contacts: dict[Any, set[UUID]] = {}
    for event in events:
        org, kind, who = event["organization_id"], event["event_type"], event["contact_id"]
        day = event["occurred_at"].date()
        for key in ((org, day, kind), (org, day.replace(day=1), f"monthly:{kind}")):
            (months if ":" in key[2] else days)[key] += 1
            contacts.setdefault(key, set()).add(who)
        name = kind.removeprefix("email_")
        if event["event_source"] == str(CAMPAIGN) and name in ("opened", "clicked", "sent"):
            campaigns[org, day, name] += 1
            contacts.setdefault((org, day, f"unique_{name}"), set()).add(who)
            if name != "sent":
                campaigns[org, day, f"unique_{name}"] = len(contacts[org, day, f"unique_{name}"])
    february = {key: count for key, count in months.items() if key[1].month == 2}
    return {
        "aggregates": {key: (n, len(contacts[key])) for key, n in (days | february).items()},
        "campaigns": dict(campaigns),
    }


def stored(db: Postgres) -> dict[str, Any]:
    """The rows that are not zero."""
    aggregates = db.rows("select * from analytics.event_aggregates where count > 0")
    stats = db.rows("select * from analytics.campaign_daily_stats")
    names = ("sent", "opened", "unique_opened", "clicked", "unique_clicked")
    return {
        "aggregates": {
            (row["organization_id"], row["date"], row["event_type"]): (
                row["count"], row["unique_count"]
            )
            for row in aggregates
        },
        "campaigns": {
            (row["organization_id"], row["date"], name): row[name]
            for row in stats for name in names if row[name]
        },
    }  # fmt: skip


EDITS = {
    "event_type": "'email_opened_by_machine'",
    "organization_id": "'00000000-0000-0000-0000-000000000002'",
    "contact_id": "'00000000-0000-0000-0000-000000000001'",
    "event_source": "'website'",
    "occurred_at": "occurred_at + interval '13 hours'",
}
SPOILED = (
    "update analytics.campaign_daily_stats set opened = 999",
    "delete from analytics.campaign_daily_stats",
    "update analytics.event_aggregates set count = count + 1 where event_type like 'monthly:%'",
    "update analytics.event_aggregates set count = count + 1 where event_type not like 'monthly:%'",
    "delete from analytics.event_aggregates",
    "update analytics.campaign_daily_stats set date = date + 1 where date = '2026-02-28'"
    " and (campaign_id, organization_id, date + 1) not in"
    " (select campaign_id, organization_id, date from analytics.campaign_daily_stats)",
)


@settings(
    max_examples=examples(8),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    edits=st.lists(st.tuples(st.sampled_from([*EDITS, "deleted"]), st.integers(1, 24)), max_size=4),
    spoiled=st.lists(st.sampled_from(SPOILED), max_size=2),
    seed=st.integers(0, 9),
)
def test_whatever_is_edited_afterwards_is_found_and_the_commands_correct_it(
    database: str, db: Postgres, edits: list[tuple[str, int]], spoiled: list[str], seed: int
) -> None:
    fill(db, random.Random(seed))
    run_all(database)
    assert list(derived.problems(differences(db))) == []
    for column, number in edits:
        what = f"update analytics.contact_activity set {column} = {EDITS.get(column)}"
        if column == "deleted":
            what = "delete from analytics.contact_activity"
        db.execute(f"{what} where id = :id", id=UUID(int=number))
    for statement in spoiled:
        db.execute(statement)
    found = list(derived.problems(differences(db)))
    assert bool(found) == (stored(db) != counted(db))
    for problem in found:
        obey(database, problem.problem)
    again = list(derived.problems(differences(db)))
    for problem in again:  # rollups that were corrected change their month
        obey(database, problem.problem)
    assert list(derived.problems(differences(db))) == []
    assert stored(db) == counted(db)


def test_each_kind_of_difference_is_a_finding_of_its_own(
    cli: Cli, database: str, db: Postgres
) -> None:
    fill(db, random.Random(1))
    run_all(database)
    db.execute("update analytics.campaign_daily_stats set opened = 999")
    db.execute(
        "update analytics.event_aggregates set count = count + 7, unique_count = 0"
        " where event_type like 'monthly:%'"
    )
    db.execute(
        "insert into analytics.contact_activity (organization_id, contact_id, event_type,"
        " event_source, occurred_at, created_at) select organization_id, contact_id, event_type,"
        " event_source, occurred_at, created_at from analytics.contact_activity where id = :id",
        id=UUID(int=1),
    )
    answer = cli("check", "--deep", "--from", "2026-02-27", "--to", "2026-03-02", "--json")
    assert answer.code == 1
    received = {one["area"]: one["problem"] for one in answer.json["problems"]}
    assert received.keys() >= {"rollups", "campaigns", "usage", "events"}
    assert (
        "mauntic backfill analytics.generate-daily-reports --from 2026-02-2"
        in received["campaigns"]
    )
    assert received["usage"].endswith(
        "mauntic backfill analytics.generate-monthly-usage"
        " --from 2026-02-01 --to 2026-03-01 --only all"
    )
    assert received["events"].startswith(
        "1 event with the contact, type, time and source of another event"
    )
    [row] = answer.json["equal_events"]
    assert row["surplus"] == 1
    assert {row["reported"] for row in answer.json["campaigns"]} >= {999}
    text = cli("check", "--deep", "--from", "2026-02-27", "--to", "2026-03-02").out
    assert "equal events" in text


def test_what_lies_before_the_retained_period_is_no_difference(db: Postgres, database: str) -> None:
    fill(db, random.Random(2))
    run_all(database)
    db.rows("select ops.purged_before('2026-03-01')")
    db.execute("delete from analytics.contact_activity where occurred_at < '2026-03-01Z'")
    assert list(derived.problems(differences(db))) == []


def test_a_report_that_is_not_due_yet_is_no_difference(db: Postgres) -> None:
    fill(db, random.Random(2))
    early = FEBRUARY + timedelta(days=1, hours=3)
    assert derived.differences(db, FEBRUARY, END, early)["campaigns"] == []
    assert derived.differences(db, FEBRUARY, END, NOW)["campaigns"] != []


def test_a_score_that_its_facts_do_not_give_is_found(
    database: str, db: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any portion of the contacts."""
    monkeypatch.setattr(derived, "CONTACTS", 1)
    with opened(database) as stage:
        for number in (1, 2, 3):
            stage.add_contact((1, number), email="a@b.example", phone="1")
        stage.fold()
        stage.batch()
    assert derived.differences(db, FEBRUARY, END, NOW)["scores"] == []
    db.execute(
        "update scoring.lead_scores set total_score = 99 where contact_id = :id",
        id=UUID(int=1_002),
    )
    [row] = derived.differences(db, FEBRUARY, END, NOW)["scores"]
    assert (row["contact_id"], row["stored"], row["computed"]) == (UUID(int=1_002), 99, 25)
    [problem] = derived.problems({"scores": [row]})
    assert f"mauntic scores recompute --organization {UUID(int=1)} && " in problem.problem
    db.execute("update crm.contacts set email = null where id = :id", id=UUID(int=1_003))
    assert len(derived.differences(db, FEBRUARY, END, NOW)["scores"]) == 1  # waits to be scored
