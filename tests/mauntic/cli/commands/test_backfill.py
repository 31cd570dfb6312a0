"""`mauntic backfill`: the real worker behind the account's queue, with the ledger as the only
memory.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.worker import WORKER
from mauntic.cli.commands import backfill
from mauntic.operations.backfill import Backfill, plan
from shared.adapters.postgres.client import Postgres
from shared.windows import Window
from tests.mauntic.cli.commands.test_dlq import Outbox
from tests.mauntic.cli.commands.test_jobs import HOUR, add_run
from tests.mauntic.harness import HOURLY, QUEUE, Answer, Cli, Consumer
from tests.mauntic.vendor import Vendor
from tests.thorough import examples

DAY = datetime(2026, 3, 10, tzinfo=UTC)
JOB = WORKER.by_type[HOURLY]
SCHEDULE = JOB.schedule
assert SCHEDULE is not None


def fill(cli: Cli, hours: int, *more: object) -> Answer:
    return cli(
        "backfill", HOURLY, "--from", "2026-03-10", "--to", (DAY + hours * HOUR).isoformat(),
        "--remote", "--json", *more,
    )  # fmt: skip


def statuses(db: Postgres) -> dict[int, tuple[str, str]]:
    rows = db.rows("select window_start, status, trigger from ops.job_runs order by 1")
    return {round((r["window_start"] - DAY) / HOUR): (r["status"], r["trigger"]) for r in rows}


def hours_of(bodies: list[dict[str, Any]]) -> list[int]:
    ends = [datetime.fromisoformat(body["scheduledFor"]) for body in bodies]
    return [round((end - DAY) / HOUR) - 1 for end in ends]


def add_event(db: Postgres, hour: float) -> None:
    db.execute(
        "insert into analytics.contact_activity"
        " (organization_id, contact_id, event_type, occurred_at, created_at)"
        " values (gen_random_uuid(), gen_random_uuid(), 'email_sent', :at, :at)",
        at=DAY + hour * HOUR,
    )


def test_a_range_is_run_whole_and_summed_up(cli: Cli, consumer: Consumer, db: Postgres) -> None:
    for hour in (0.5, 1.5, 1.6):
        add_event(db, hour)
    answer = fill(cli, 5, "--at-most", 2)
    reported = answer.json
    assert (answer.code, reported["windows"], reported["succeeded"]) == (0, 5, 5)
    assert (reported["rows_read"], reported["dead"], reported["in_flight"]) == (3, [], 0)
    assert [one["window"] for one in reported["changed"]] == [str(window) for window in windows(2)]
    assert sum(one["rows"] for one in reported["changed"]) == reported["rows_written"] > 0
    assert statuses(db) == dict.fromkeys(range(5), ("succeeded", "backfill"))
    assert hours_of(consumer.bodies) == [0, 1, 2, 3, 4]
    assert consumer.most_at_once <= 2
    [booked] = db.rows("select sum(count) as count from analytics.event_aggregates")
    assert booked["count"] == 3
    again = fill(cli, 5)
    assert (again.code, again.json["windows"], len(consumer.bodies)) == (0, 0, 5)
    assert again.json["left_alone"] == {"succeeded": 5}
    once_more = fill(cli, 5, "--only", "all").json
    assert (once_more["succeeded"], once_more["changed"]) == (5, [])  # nothing changes


@pytest.fixture
def mixed(db: Postgres) -> None:
    """A window in every state; those without a lease are abandoned."""
    now = datetime.now(UTC)
    live, over = now + timedelta(minutes=10), now - timedelta(minutes=1)
    states = [
        ("succeeded", None), ("dead", over), ("skipped", None), ("queued", over), ("queued", live),
        ("running", over), ("running", live), ("failed", over), ("failed", live), ("sharded", live),
    ]  # fmt: skip
    for hour, (status, lease) in enumerate(states):
        add_run(db, DAY + hour * HOUR, status, lease_until=lease)


@pytest.mark.parametrize(
    ("only", "expected"),
    [("missing", [2, 3, 5, 7, 10]), ("failed", [1, 7]), ("all", [0, 1, 2, 3, 5, 7, 10])],
)
@pytest.mark.usefixtures("mixed")
def test_only_what_is_asked_for_and_never_what_is_running(
    cli: Cli, consumer: Consumer, db: Postgres, only: str, expected: list[int]
) -> None:
    before = statuses(db)
    planned = fill(cli, 11, "--only", only, "--dry-run").json
    starts = [
        datetime.fromisoformat(row["window"].partition("/")[0]) for row in planned["would_run"]
    ]
    assert [round((start - DAY) / HOUR) for start in starts] == expected
    assert (len(planned["busy"]), consumer.bodies, statuses(db)) == (4, [], before)
    assert sum(planned["left_alone"].values()) == 11 - 4 - len(expected)
    answer = fill(cli, 11, "--only", only)
    assert (answer.code, answer.json["succeeded"], len(answer.json["busy"])) == (
        0,
        len(expected),
        4,
    )
    assert sorted(hours_of(consumer.bodies)) == expected
    after = statuses(db)
    assert all(after[hour] == before[hour] for hour in before if hour not in expected)


def test_the_windows_in_flight_are_bounded(cli: Cli, vendor: Vendor, consumer: Consumer) -> None:
    """Without answers, no more than the limit is sent."""
    consumer.hold.clear()
    counted = []

    def look() -> None:
        while len(vendor.sent) < 3:
            time.sleep(0.01)
        time.sleep(0.4)  # it looks several times, and sends no more
        counted.append(len(vendor.sent))
        consumer.hold.set()

    threading.Thread(target=look, daemon=True).start()
    assert fill(cli, 9, "--at-most", 3).code == 0
    assert counted == [3]


def test_changes_are_reported_by_window(cli: Cli, consumer: Consumer, db: Postgres) -> None:
    add_event(db, 1.5)
    text = cli("backfill", HOURLY, "--from", "2026-03-10", "--to", "2026-03-10T03:00Z", "--remote")
    assert text.code == 0
    assert "changed 2026-03-10T01:00Z/2026-03-10T02:00Z" in text.out
    assert "changed 2026-03-10T00:00Z" not in text.out
    assert text.out.endswith("not run: none\n")


def test_windows_that_die_are_reported_and_fail_the_command(
    cli: Cli, consumer: Consumer, db: Postgres
) -> None:
    db.execute("drop table analytics.hourly_cells cascade")
    answer = fill(cli, 2)
    assert (answer.code, len(answer.json["dead"])) == (1, 2)
    assert "42P01" in answer.json["dead"][0]["error"]
    assert fill(cli, 2).json["windows"] == 0  # dead is no longer missing
    assert fill(cli, 2, "--only", "failed").json["windows"] == 2


@pytest.fixture
def ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, as it interrupts a sleep: once, after the first windows were sent."""
    signals = [KeyboardInterrupt()]

    def sleep(seconds: float) -> None:
        if signals:
            raise signals.pop()
        time.sleep(seconds)

    monkeypatch.setattr(backfill, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))


@pytest.mark.usefixtures("ctrl_c")
def test_an_interruption_is_harmless(cli: Cli, consumer: Consumer, db: Postgres) -> None:
    consumer.hold.clear()
    answer = fill(cli, 6, "--at-most", 2)
    assert (answer.code, answer.json["interrupted"], answer.json["in_flight"]) == (130, True, 2)
    consumer.hold.set()
    while len([1 for status, _ in statuses(db).values() if status == "succeeded"]) < 2:
        time.sleep(0.02)
    rest = fill(cli, 6)
    assert (rest.code, rest.json["succeeded"]) == (0, 4)
    assert sorted(hours_of(consumer.bodies)) == list(range(6))


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupted_backfill_of_all_says_from_where_it_goes_on(
    cli: Cli, consumer: Consumer, db: Postgres
) -> None:
    """The ledger cannot distinguish windows that ran again, so the range must."""
    for hour in range(6):
        add_run(db, DAY + hour * HOUR, "succeeded", fencing_token=1)
    consumer.hold.clear()
    answer = fill(cli, 6, "--only", "all", "--at-most", 2)
    assert (answer.code, answer.json["in_flight"]) == (130, 2)
    assert "--from 2026-03-10T00:00Z to continue" in answer.err


def test_one_window_is_reported_as_one(cli: Cli, db: Postgres) -> None:
    add_run(db, DAY, "running", lease_until=datetime.now(UTC) + HOUR)
    text = cli(
        "backfill", HOURLY, "--from", "2026-03-10", "--to", "2026-03-10T02:00Z", "--dry-run"
    ).out
    assert text.endswith("1 window; 1 is in progress; not run: none\n")


def test_a_range_without_end_is_refused_at_once(cli: Cli, consumer: Consumer) -> None:
    answer = cli("backfill", HOURLY, "--from", "1970-01-01", "--to", "2026-03-10", "--dry-run")
    assert (answer.code, "at most 100,000" in answer.err) == (1, True)


def test_what_cannot_be_sent_is_not_claimed(cli: Cli, vendor: Vendor, db: Postgres) -> None:
    del vendor.queues[QUEUE]
    assert fill(cli, 3).code == 1
    assert statuses(db) == {}


@pytest.mark.parametrize(
    ("start", "end", "code"),
    [
        ("2026-03-11", "2026-03-10", 2),
        ("soon", "2026-03-10", 2),
        ("2026-03-10T10:10Z", "2026-03-10T10:50Z", 1),
        ("2126-03-10", "2126-03-11", 1),
    ],
)
def test_ranges_without_a_whole_past_window_are_refused(
    cli: Cli, start: str, end: str, code: int
) -> None:
    assert cli("backfill", HOURLY, "--from", start, "--to", end, "--remote").code == code


STEPS_MAX = 100  # far more than eight windows need


def windows(hours: int) -> list[Window]:
    assert SCHEDULE is not None
    return SCHEDULE.between(DAY, DAY + hours * HOUR)


@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_backfills_at_once_share_the_windows(db: Postgres, data: st.DataObject) -> None:
    """Two backfills in any interleaving, with answers in any order: each window is sent once, and
    is in one of the two summaries.
    """
    assert SCHEDULE is not None
    db.execute("delete from ops.job_runs")
    hours = data.draw(st.integers(1, 8))
    works, boxes = [], []
    for _ in range(2):
        box = SentWindows()
        at_most = data.draw(st.integers(1, 4))
        work = Backfill(
            db, box, QUEUE, JOB, SCHEDULE, "missing", at_most, clock=lambda: datetime.now(UTC)
        )
        work.begin(plan(db, JOB, windows(hours), "missing", datetime.now(UTC)))
        works.append(work)
        boxes.append(box)
    answered: set[int] = set()
    for _ in range(STEPS_MAX):
        if not (undone := [one for one in works if not one.is_done]):
            break
        work = data.draw(st.sampled_from(undone))
        work.step()
        assert work.in_flight <= work.at_most
        open_hours = [hour for box in boxes for hour in box.hours if hour not in answered]
        if open_hours:
            hour = data.draw(st.sampled_from(open_hours))
            answered.add(hour)
            succeed(db, hour)
    sent = boxes[0].hours + boxes[1].hours
    assert sorted(sent) == list(range(hours))
    assert sum(len(work.summary.succeeded) for work in works) == hours


class SentWindows(Outbox):
    """Records the sent hours."""

    def __init__(self) -> None:
        super().__init__()
        self.hours: list[int] = []

    def send(self, queue: str, bodies: Any, delay_s: int = 0, advance: Any = None) -> None:
        self.hours += hours_of(bodies)


def succeed(db: Postgres, hour: int) -> None:
    db.execute(
        "update ops.job_runs set status = 'succeeded', lease_until = null"
        " where window_start = :start",
        start=DAY + hour * HOUR,
    )


def test_a_window_whose_message_was_lost_is_given_up_when_its_lease_ends(db: Postgres) -> None:
    assert SCHEDULE is not None
    now = [datetime.now(UTC)]
    work = Backfill(db, SentWindows(), QUEUE, JOB, SCHEDULE, "missing", 2, clock=lambda: now[0])
    work.begin(plan(db, JOB, windows(1), "missing", now[0]))
    work.step()
    now[0] += timedelta(minutes=15)
    work.step()
    assert (work.in_flight, work.summary.unanswered) == (1, [])
    now[0] += timedelta(minutes=2)
    work.step()
    assert (work.in_flight, work.summary.unanswered) == (0, windows(1))
    assert work.is_done


def add_opens(db: Postgres) -> tuple[str, str]:
    """Two organizations with seven opens each on the 10th, and a campaign's figures of them."""
    first, other = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"
    for organization in (first, other):
        db.execute(
            "insert into analytics.contact_activity (organization_id, contact_id, event_type,"
            " event_source, occurred_at, created_at)"
            " select :one, gen_random_uuid(), 'email_opened', :source, at, at"
            " from generate_series(1, 7) as n"
            " cross join lateral (select cast(:day as timestamptz) + n * interval '1 hour')"
            " as moment (at)",
            one=organization, source=CAMPAIGN, day=DAY,
        )  # fmt: skip
    db.execute(
        "insert into analytics.campaign_daily_stats"
        " (campaign_id, organization_id, date, sent, opened, unique_opened)"
        " select :source, one, :day, 3, 7, 7 from unnest(cast(:both as uuid[])) as one",
        source=CAMPAIGN, both=[first, other], day=DAY.date(),
    )  # fmt: skip
    return first, other


CAMPAIGN = "00000000-0000-0000-0000-000000000c01"
ALL = ("--only", "all", "--at-most", 24)


def purge(db: Postgres, organization: str) -> None:
    with db.transaction():
        db.execute(
            "delete from analytics.contact_activity where organization_id = :one", one=organization
        )
        db.execute(
            "select ops.purged_before(:day, :one)",
            day=(DAY + timedelta(days=1)).date(), one=organization,
        )  # fmt: skip


def figures(db: Postgres, table: str = "event_aggregates", count: str = "count") -> dict[str, int]:
    rows = db.rows(f"select organization_id, {count} as count from analytics.{table}")
    return {str(row["organization_id"]): row["count"] for row in rows}


def test_a_purged_day_is_kept_until_an_operator_has_seen_what_changes(
    cli: Cli, consumer: Consumer, db: Postgres
) -> None:
    first, other = add_opens(db)
    assert fill(cli, 24, "--at-most", 24).code == 0
    assert figures(db) == {first: 7, other: 7}
    purge(db, first)
    assert fill(cli, 24, *ALL).code == 0
    assert figures(db) == {first: 7, other: 7}
    planned = fill(cli, 24, *ALL, "--before-retention", "--dry-run").json
    assert planned["would_change"] == [
        {
            "organization_id": first, "date": "2026-03-10", "table": "rollups",
            "changed": 1, "become_zero": 1, "sum_now": 7, "sum_then": 0,
        }
    ]  # fmt: skip
    sent = len(consumer.bodies)
    refused = cli(*BACKFILL_OF_THE_DAY, stdin="n\n")
    assert (refused.code, len(consumer.bodies), figures(db)) == (1, sent, {first: 7, other: 7})
    assert first in refused.out
    assert "write 1 row before the retained period, 1 of them to 0?" in refused.err
    agreed = cli(*BACKFILL_OF_THE_DAY, "--yes")
    assert (agreed.code, figures(db)) == (0, {first: 0, other: 7})
    assert fill(cli, 24, *ALL, "--before-retention", "--dry-run").json["would_change"] == []


def opened(db: Postgres) -> dict[str, int]:
    return figures(db, "campaign_daily_stats", "opened")


BACKFILL_OF_THE_DAY = (
    "backfill", HOURLY, "--from", "2026-03-10", "--to", "2026-03-11", "--remote", *ALL,
    "--before-retention",
)  # fmt: skip


def test_the_day_before_is_not_written_with_the_day_that_is_asked_for(
    cli: Cli, consumer: Consumer, db: Postgres
) -> None:
    """Every run also examines other days: rows that the operator has not seen stay unchanged."""
    first, other = add_opens(db)
    assert fill(cli, 24, "--at-most", 24).code == 0
    purge(db, first)
    late = "2026-03-10T09:00Z"
    db.execute(
        "insert into analytics.contact_activity"
        " (organization_id, contact_id, event_type, occurred_at, created_at)"
        " values (:one, gen_random_uuid(), 'email_opened', :at, :late)",
        one=first, at=datetime.fromisoformat(late), late=DAY + timedelta(days=1, hours=3.5),
    )  # fmt: skip
    answer = cli(
        "backfill", HOURLY, "--from", "2026-03-11", "--to", "2026-03-12", "--remote", *ALL,
        "--before-retention", "--yes",
    )  # fmt: skip
    assert (answer.code, figures(db)) == (0, {first: 7, other: 7})


def test_campaigns_before_the_retained_period_are_listed_and_written(
    cli: Cli, consumer: Consumer, db: Postgres
) -> None:
    """The report of a day also counts the two days before it: those stay."""
    first, other = add_opens(db)
    purge(db, first)
    job = "analytics.generate-daily-reports"
    command = ("backfill", job, "--from", "2026-03-10", "--to", "2026-03-11", "--remote", "--json")
    next_day = ("backfill", job, "--from", "2026-03-11", "--to", "2026-03-12", "--remote")
    assert cli(*command).code == 0
    assert cli(*next_day, *ALL, "--before-retention", "--yes").code == 0
    assert opened(db) == {first: 7, other: 7}
    planned = cli(*command, *ALL, "--before-retention", "--dry-run").json
    assert planned["would_change"] == [
        {
            "organization_id": first, "date": "2026-03-10", "table": "campaigns",
            "changed": 1, "become_zero": 1, "sum_now": 10, "sum_then": 0,
        }
    ]  # fmt: skip
    assert cli(*command, *ALL, "--before-retention", "--yes").code == 0
    assert opened(db) == {first: 0, other: 7}


def test_months_before_the_retained_period_are_listed_and_written(
    cli: Cli, consumer: Consumer, db: Postgres
) -> None:
    """A month is the sum of its rollups: it shrinks after they have."""
    first, other = add_opens(db)
    db.execute(
        "insert into analytics.event_aggregates"
        " (organization_id, date, event_type, channel, count, unique_count)"
        " select one, '2026-03-01', 'monthly:email_opened', 'monthly_summary', 7, 7"
        " from unnest(cast(:both as uuid[])) as one",
        both=[first, other],
    )
    db.execute(
        "insert into analytics.event_aggregates"
        " (organization_id, date, event_type, count, unique_count)"
        " values (:first, '2026-03-10', 'email_opened', 2, 2),"
        " (:other, '2026-03-10', 'email_opened', 7, 7)",
        first=first, other=other,
    )  # fmt: skip
    purge(db, first)
    command = (
        "backfill", "analytics.generate-monthly-usage", "--from", "2026-03-01", "--to",
        "2026-04-01", "--remote", "--json", *ALL,
    )  # fmt: skip
    planned = cli(*command, "--before-retention", "--dry-run").json
    assert planned["would_change"] == [
        {
            "organization_id": first, "date": "2026-03-01", "table": "usage",
            "changed": 1, "become_zero": 0, "sum_now": 7, "sum_then": 2,
        }
    ]  # fmt: skip
    assert cli(*command, "--before-retention", "--yes").code == 0
    rows = db.rows(
        "select organization_id, count, unique_count from analytics.event_aggregates"
        " where event_type = 'monthly:email_opened' order by 1"
    )
    assert [(str(row["organization_id"]), row["count"]) for row in rows] == [(first, 2), (other, 7)]
    assert cli(*command, "--before-retention", "--dry-run").json["would_change"] == []


@pytest.mark.parametrize(
    ("job", "end", "only", "cause"),
    [
        (HOURLY, "2026-03-10T05:00Z", "all", "writes whole days"),
        (HOURLY, "2026-03-11", "missing", "also pass --only all"),
        (
            "analytics.reset-warmup-daily",
            "2026-03-11",
            "all",
            "does not support",
        ),
    ],
)
def test_what_the_option_cannot_mean_is_refused(
    cli: Cli, job: str, end: str, only: str, cause: str
) -> None:
    answer = cli(
        "backfill", job, "--from", "2026-03-10", "--to", end, "--only", only,
        "--before-retention", "--dry-run",
    )  # fmt: skip
    assert (answer.code, cause in answer.err) == (1, True)
