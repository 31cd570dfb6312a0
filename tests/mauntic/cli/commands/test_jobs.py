"""`mauntic jobs` and `mauntic runs`: the ledger and the schedules from an operator's view."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer

from analytics.worker import WORKER
from mauntic.cli.ui.time_args import moment, span, window_of
from mauntic.errors import OperatorError
from shared.adapters.postgres.client import Postgres
from shared.windows import Schedule, Window, day_before, hour_before, month_before
from tests.clock import pass_the_hour
from tests.mauntic.harness import HOURLY, QUEUE, Cli, Consumer
from tests.mauntic.vendor import Vendor

HOUR = timedelta(hours=1)
SCHEDULE = WORKER.by_type[HOURLY].schedule
assert SCHEDULE is not None


@pytest.fixture(autouse=True)
def _within_one_hour() -> None:
    pass_the_hour()


def last_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def add_run(db: Postgres, start: datetime, status: str, **fields: Any) -> None:
    columns = {
        "job_type": HOURLY, "window_start": start, "window_end": start + HOUR, "status": status,
        "trigger": "cron", "scheduled_for": start + HOUR, **fields,
    }  # fmt: skip
    names = ", ".join(columns)
    values = ", ".join(f":{name}" for name in columns)
    db.execute(f"insert into ops.job_runs ({names}) values ({values})", **columns)


def tick(db: Postgres, first: datetime) -> None:
    db.execute(
        "insert into ops.schedules (job_type, starts_at, recorded_until, changed_at)"
        " values (:type, :first, :first, now())",
        type=HOURLY, first=first,
    )  # fmt: skip


def hourly(cli: Cli) -> dict[str, Any]:
    [row] = [row for row in cli("jobs", "list", "--json").json if row["type"] == HOURLY]
    return dict(row)


def test_a_job_before_its_first_tick_is_not_overdue(cli: Cli) -> None:
    row = hourly(cli)
    assert (row["state"], row["schedule"], row["queue"]) == ("no tick yet", "0 * * * *", QUEUE)
    assert moment(row["next_fire"]) == last_hour() + HOUR
    assert HOURLY in cli("jobs", "list").out


def test_lag_is_measured_from_the_newest_window_that_is_due(cli: Cli, db: Postgres) -> None:
    now = last_hour()
    tick(db, now - 10 * HOUR)
    for hours in (5, 4):
        add_run(db, now - hours * HOUR, "succeeded", finished_at=now)
    add_run(db, now - 3 * HOUR, "dead")
    row = hourly(cli)
    assert (row["state"], row["overdue"], row["unfinished"]) == ("overdue", True, 1)
    assert (row["lag_s"], moment(row["succeeded_until"])) == (3 * 3_600, now - 3 * HOUR)


def test_what_was_run_from_before_the_first_tick_is_no_lag(cli: Cli, db: Postgres) -> None:
    """A backfill of old days has no effect on the days between them and the first tick."""
    now = last_hour()
    add_run(db, now - 6_000 * HOUR, "succeeded", finished_at=now)
    assert (hourly(cli)["state"], hourly(cli)["lag_s"]) == ("no tick yet", None)
    tick(db, now)
    assert (hourly(cli)["state"], hourly(cli)["lag_s"]) == ("ok", 0)


def test_a_window_within_its_grace_is_not_overdue(cli: Cli, db: Postgres) -> None:
    now = datetime.now(UTC)
    assert SCHEDULE is not None
    past_grace = SCHEDULE.newest_due(now - SCHEDULE.grace)
    tick(db, past_grace.start)
    assert hourly(cli)["state"] == "overdue"
    add_run(db, past_grace.start, "succeeded", finished_at=now)
    assert hourly(cli)["state"] == "ok"
    db.execute("update ops.job_runs set status = 'skipped'")
    assert hourly(cli)["state"] == "ok"  # an operator decided it, and it was reported


def test_pausing_says_who_and_why_and_twice_is_once(cli: Cli, db: Postgres) -> None:
    call = ("jobs", "pause", HOURLY, "--note", "moving house", "--by", "ada", "--json")
    assert cli(*call).json == {"type": HOURLY, "paused": True, "changed": True}
    assert cli(*call).json["changed"] is False
    assert cli("jobs", "pause", HOURLY, "--by", "bob").out == f"{HOURLY} paused already\n"
    row = hourly(cli)
    assert (row["state"], row["note"], row["changed_by"]) == ("paused", "moving house", "ada")
    assert "ada: moving house" in cli("jobs", "list").out
    [row] = db.rows("select changed_by, starts_at from ops.schedules")
    assert row == {"changed_by": "ada", "starts_at": None}  # the first tick begins its history
    resumed = cli("jobs", "resume", HOURLY)  # its worker's first tick is that of every full hour
    assert (resumed.code, f"the tick of {last_hour() + HOUR:%Y-%m-%d %H:%MZ}" in resumed.out) == (
        0,
        True,
    )
    assert hourly(cli)["state"] == "no tick yet"
    monthly = cli("jobs", "resume", "analytics.generate-monthly-usage")
    assert f"the tick of {last_hour() + HOUR:%Y-%m-%d %H:%MZ}" in monthly.out
    assert cli("jobs", "pause", "analytics.nothing").code == 1


def test_a_window_is_run_and_waited_for(cli: Cli, consumer: Consumer) -> None:
    answer = cli("jobs", "run", HOURLY, "--window", "2026-03-10T10:00Z", "--remote", "--json")
    assert (answer.code, answer.json["status"], answer.json["attempts"]) == (0, "succeeded", 1)
    assert answer.json["window"] == "2026-03-10T10:00Z/2026-03-10T11:00Z"
    [body] = consumer.bodies
    assert (body["scheduledFor"], body["trigger"]) == ("2026-03-10T11:00:00Z", "manual")
    again = cli("jobs", "run", HOURLY, "--window", "2026-03-10T10:00Z", "--remote")
    assert (again.code, len(consumer.bodies)) == (0, 2)
    assert again.out.endswith("succeeded: 0 rows read, 0 changed\n")


def test_a_run_reports_the_rows_it_read_and_changed(
    cli: Cli, consumer: Consumer, db: Postgres
) -> None:
    """Two events of one type: read, and booked into one cell and one day."""
    for minute in (1, 2):
        db.execute(
            "insert into analytics.contact_activity"
            " (organization_id, contact_id, event_type, occurred_at, created_at)"
            " values (cast(:one as uuid), gen_random_uuid(), 'email_sent', :at, :at)",
            one=f"{1:032x}", at=datetime(2026, 3, 10, 10, minute, tzinfo=UTC),
        )  # fmt: skip
    call = ("jobs", "run", HOURLY, "--window", "2026-03-10T10:00Z", "--remote")
    received = cli(*call, "--json").json
    assert (received["rows_read"], received["rows_written"] > 0) == (2, True)
    assert cli(*call).out.endswith("succeeded: 2 rows read, 0 changed\n")


def test_a_run_that_dies_is_a_failure_of_the_command(
    cli: Cli, consumer: Consumer, db: Postgres
) -> None:
    db.execute("drop table analytics.hourly_cells cascade")
    answer = cli("jobs", "run", HOURLY, "--remote")
    assert (answer.code, "dead" in answer.out, "42P01" in answer.out) == (1, True, True)


def test_without_a_window_the_last_complete_one_is_run(cli: Cli, vendor: Vendor) -> None:
    answer = cli("jobs", "run", HOURLY, "--no-wait", "--remote", "--json")
    expected = hour_before(datetime.now(UTC))
    assert (answer.json["window"], answer.json["status"]) == (str(expected), "sent")
    [body] = vendor.bodies(QUEUE)
    assert moment(body["scheduledFor"]) == expected.end


def test_an_earlier_end_of_the_window_is_not_taken_for_the_new_one(
    cli: Cli, vendor: Vendor, db: Postgres
) -> None:
    add_run(db, datetime(2026, 3, 10, 10, tzinfo=UTC), "succeeded", fencing_token=3)
    call = ("jobs", "run", HOURLY, "--window", "2026-03-10T10:00Z", "--timeout", "1", "--remote")
    answer = cli(*call)
    assert (answer.code, "has not ended" in answer.err) == (1, True)


def test_waiting_has_an_end(cli: Cli, vendor: Vendor) -> None:
    answer = cli("jobs", "run", HOURLY, "--timeout", "1", "--remote")
    assert (answer.code, "has not ended" in answer.err) == (1, True)


@pytest.mark.parametrize(
    ("window", "words"),
    [
        ("2026-03-10T10:30Z", "2026-03-10T10:00Z/2026-03-10T11:00Z"),
        ("2026-03-10T10:00Z/2026-03-10T12:00Z", "is not a window"),
        ("2126-03-10T10:00Z", "has not ended"),
    ],
)
def test_what_is_no_window_is_refused(cli: Cli, vendor: Vendor, window: str, words: str) -> None:
    answer = cli("jobs", "run", HOURLY, "--window", window, "--remote")
    assert (answer.code, words in answer.err, vendor.sent) == (1, True, [])
    assert cli("jobs", "run", HOURLY, "--window", "soon", "--remote").code == 2


@pytest.mark.parametrize(
    ("cron", "of", "text", "expected"),
    [
        ("0 * * * *", hour_before, "2026-03-10T10:00+02:00", "2026-03-10T08:00Z/2026-03-10T09:00Z"),
        ("0 2 * * *", day_before, "2026-03-10", "2026-03-10T00:00Z/2026-03-11T00:00Z"),
        ("0 3 1 * *", month_before, "2026-02-01/2026-03-01", "2026-02-01T00:00Z/2026-03-01T00:00Z"),
    ],
)
def test_windows_are_read_for_every_kind_of_schedule(
    cron: str, of: Any, text: str, expected: str
) -> None:
    schedule = Schedule(cron, of, HOUR)
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert str(window_of(schedule, text, now)) == expected
    with pytest.raises(OperatorError):
        window_of(schedule, "2026-03-10T00:01Z", now)


@pytest.mark.parametrize(
    "time", ["0001-01-01", "0001-01-01T00:00+05:00", "9999-12-31T23:00", "9999-12-31T23:59-10:00"]
)
@pytest.mark.parametrize(
    "words",
    [
        ("scores", "show", "nobody@example.com", "--at"),
        ("backfill", HOURLY, "--dry-run", "--to", "2026-03-10", "--from"),
        ("backfill", HOURLY, "--dry-run", "--from", "2026-03-10", "--to"),
        ("runs", "show", HOURLY),
        ("jobs", "run", HOURLY, "--window"),
    ],
    ids=lambda words: f"{words[0]} {words[-1]}",
)
def test_a_time_at_the_end_of_the_calendar_is_refused(
    cli: Cli, words: tuple[str, ...], time: str
) -> None:
    answer = cli(*words, time)
    assert (answer.code, "is not between the years 1970 and 9000" in answer.err) == (2, True)


@pytest.mark.parametrize(
    ("cron", "of"),
    [("0 * * * *", hour_before), ("0 3 * * *", day_before), ("0 3 1 * *", month_before)],
)
@pytest.mark.parametrize("start", ["1970-01-01", "8999-12-01"])
def test_windows_are_found_up_to_there(cron: str, of: Any, start: str) -> None:
    schedule = Schedule(cron, of, HOUR)
    found = window_of(schedule, start, datetime(9000, 1, 1, tzinfo=UTC))
    assert found.start == moment(start)


def test_spans_are_read() -> None:
    texts = ["30s", "90m", "2h", "7d", "1w"]
    assert [span(text).total_seconds() for text in texts] == [30, 5_400, 7_200, 604_800, 604_800]


@pytest.mark.parametrize("text", ["0s", "-1h", "99999999d", "1e9d", f"{10**400}w", "", "h"])
def test_spans_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        span(text)


def test_runs_are_listed_by_filter_and_shown_with_their_shards(cli: Cli, db: Postgres) -> None:
    start = datetime(2026, 3, 10, tzinfo=UTC)
    add_run(db, start, "succeeded", rows_written=7)
    add_run(db, start + HOUR, "sharded")
    add_run(db, start + HOUR, "succeeded", shard="1/2", rows_written=3)
    add_run(db, start + HOUR, "dead", shard="2/2", error_class="E", error_text="why")
    listed = cli("runs", "list", "--json").json
    assert [(row["window_start"][11:13], row["status"]) for row in listed] == [
        ("01", "sharded"),
        ("00", "succeeded"),
    ]
    assert len(cli("runs", "list", "--shards", "--json").json) == 4
    only = cli("runs", "list", "--status", "dead", "--shards", "--type", HOURLY, "--json").json
    assert [row["shard"] for row in only] == ["2/2"]
    assert cli("runs", "list", "--since", "1d", "--json").json == []
    assert cli("runs", "list", "--status", "lost").code == 2
    shown = cli("runs", "show", HOURLY, "2026-03-10T01:00Z", "--json").json
    assert (shown["run"]["status"], [s["shard"] for s in shown["shards"]]) == (
        "sharded",
        ["1/2", "2/2"],
    )
    assert "why" in cli("runs", "show", HOURLY, "2026-03-10T01:00Z").out
    assert cli("runs", "show", HOURLY, "2026-03-10T05:00Z").code == 1


@pytest.mark.parametrize(
    "setting", ["timezone = 'Asia/Kolkata'", "datestyle = 'German'", "datestyle = 'SQL, DMY'"]
)
def test_times_are_printed_in_utc_whatever_the_database_is_set_to(
    cli: Cli, db: Postgres, setting: str
) -> None:
    start = datetime(2026, 3, 10, 11, tzinfo=UTC)
    add_run(db, start, "succeeded", started_at=start + HOUR)
    [name] = db.rows("select current_database() as it")
    db.execute(f'alter database "{name["it"]}" set {setting}')
    output = cli("runs", "list").out
    assert "2026-03-10T11:00Z/2026-03-10T12:00Z" in output
    assert "2026-03-10 12:00Z" in output
    assert cli("runs", "show", HOURLY, "2026-03-10T11:00Z").code == 0
    [row] = cli("runs", "list", "--json").json
    assert row["started_at"] == "2026-03-10T12:00:00+00:00"


def test_windows_are_what_a_schedule_says() -> None:
    """The search around a time finds every window of a schedule, of any length."""
    for cron, of, days in (("0 * * * *", hour_before, 1), ("0 3 1 * *", month_before, 70)):
        schedule = Schedule(cron, of, HOUR)
        now = datetime(2027, 1, 1, 5, tzinfo=UTC)
        start = datetime(2026, 1, 1, tzinfo=UTC)
        for window in schedule.between(start, start + timedelta(days=days)):
            assert window_of(schedule, window.start.isoformat(), now) == window
            assert isinstance(window, Window)
