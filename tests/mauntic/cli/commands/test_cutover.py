"""From the old scheduler to this one: the output of each step, on a real ledger and real rows."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from analytics.store.hours import Hour, book_hour
from analytics.worker import WORKER
from mauntic.cutover import findings, shadow
from mauntic.cutover.shadow import Days
from mauntic.database.url import DatabaseUrl, connect
from mauntic.errors import OperatorError
from mauntic.operations.provisioning import Account, needs_of
from mauntic.operations.vendor import wrangler
from mauntic.operations.vendor.answers import Caching, Hyperdrive
from mauntic.project.envs import CONFIG
from shared.adapters.postgres.client import Postgres
from shared.windows import Window
from tests.clock import pass_the_hour
from tests.mauntic.harness import DLQ, HOURLY, QUEUE, Cli
from tests.scratch import scratch_database

DAY = datetime(2026, 3, 10, tzinfo=UTC)
REPORTS = "analytics.generate-daily-reports"
CAMPAIGN = UUID(int=77)
DAYS = Days(date(2026, 3, 10), date(2026, 3, 11))


@pytest.fixture(autouse=True)
def _within_one_hour() -> None:
    pass_the_hour()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of saved old rows."""
    monkeypatch.setattr(shadow, "KEPT", tmp_path)
    return tmp_path


def ran(
    db: Postgres, kind: str, start: datetime, hours: int = 1, times: int = 1, **more: Any
) -> None:
    """Windows in the ledger."""
    for number in range(times):
        first = start + number * timedelta(hours=hours)
        row = {
            "job_type": kind,
            "window_start": first,
            "window_end": first + timedelta(hours=hours),
            "status": "succeeded",
            "trigger": "cron",
            "scheduled_for": first + timedelta(hours=hours),
            "started_at": first + timedelta(hours=hours),
        } | more
        names = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        db.execute(f"insert into ops.job_runs ({names}) values ({marks})", **row)


def event(db: Postgres, contact: int, kind: str = "email_opened") -> None:
    db.execute(
        "insert into analytics.contact_activity"
        " (organization_id, contact_id, event_type, event_source, occurred_at)"
        " values (cast(:o as uuid), cast(:c as uuid), :kind, :source, :at)",
        o=str(UUID(int=1)), c=str(UUID(int=contact)), kind=kind, source=str(CAMPAIGN).upper(),
        at=DAY + timedelta(hours=9),
    )  # fmt: skip


def rollup(db: Postgres, count: int, unique: int) -> None:
    db.execute(
        "insert into analytics.event_aggregates"
        " (organization_id, date, event_type, count, unique_count)"
        " values (cast(:o as uuid), :day, 'email_opened', :count, :unique)"
        " on conflict (organization_id, date, event_type)"
        " do update set count = excluded.count, unique_count = excluded.unique_count",
        o=str(UUID(int=1)), day=DAYS.start, count=count, unique=unique,
    )  # fmt: skip


def stats(db: Postgres, opened: int, unique_opened: int) -> None:
    db.execute(
        "insert into analytics.campaign_daily_stats"
        " (campaign_id, organization_id, date, opened, unique_opened)"
        " values (cast(:c as uuid), cast(:o as uuid), :day, :opened, :unique)"
        " on conflict (campaign_id, organization_id, date)"
        " do update set opened = excluded.opened, unique_opened = excluded.unique_opened",
        c=str(CAMPAIGN), o=str(UUID(int=1)), day=DAYS.start, opened=opened, unique=unique_opened,
    )  # fmt: skip


def shadow_run(cli: Cli, *more: str) -> Any:
    return cli("cutover", "shadow", "--from", "2026-03-10", "--to", "2026-03-11", "--json", *more)


def test_shadow_keeps_the_old_rows_then_asks_for_the_runs_then_compares(
    cli: Cli, db: Postgres, kept: Path
) -> None:
    event(db, 1)
    event(db, 2)
    rollup(db, 4, 2)  # the old scheduler ran its hour twice
    stats(db, 3, 2)
    first = shadow_run(cli)
    assert first.code == 1
    assert [one["subject"] for one in first.json] == [HOURLY, REPORTS]
    assert "24 windows were not run: mauntic backfill" in first.json[0]["why"]
    ran(db, HOURLY, DAY, times=24, trigger="backfill")
    ran(db, REPORTS, DAY, hours=24, trigger="backfill")
    rollup(db, 2, 2)  # what our jobs wrote
    stats(db, 2, 2)
    second = shadow_run(cli)
    assert second.code == 0
    assert second.json["ours_wrong"] == 0
    difference, of_campaign = second.json["differences"]
    assert of_campaign["events_say"] == "2", "a campaign is a UUID in any spelling"
    assert (difference["old_says"], difference["ours_say"]) == ("4 / 2", "2 / 2")
    assert (difference["events_say"], difference["ours_are_right"]) == ("2 / 2", True)


def test_shadow_fails_where_the_events_do_not_say_what_ours_do(
    cli: Cli, db: Postgres, kept: Path
) -> None:
    event(db, 1)
    rollup(db, 1, 1)
    stats(db, 1, 1)
    shadow_run(cli)
    ran(db, HOURLY, DAY, times=24)
    ran(db, REPORTS, DAY, hours=24)
    rollup(db, 7, 1)
    stats(db, 9, 1)
    answer = shadow_run(cli)
    assert answer.code == 1
    assert answer.json["ours_wrong"] == 2
    assert {row["what"] for row in answer.json["differences"]} == {
        "email_opened",
        f"{CAMPAIGN} opened",
    }


def test_what_the_old_scheduler_wrote_until_our_first_run_is_kept(
    cli: Cli, db: Postgres, kept: Path
) -> None:
    """It may be late for some days; rows written after the first new run are not its rows."""
    event(db, 1)
    rollup(db, 1, 1)
    shadow_run(cli)
    rollup(db, 3, 1)  # the old scheduler again
    shadow_run(cli)
    ran(db, HOURLY, DAY, status="running")
    rollup(db, 1, 1)  # ours
    shadow_run(cli)
    db.execute("delete from ops.job_runs")
    ran(db, HOURLY, DAY, times=24)
    ran(db, REPORTS, DAY, hours=24)
    [difference] = shadow_run(cli).json["differences"]
    assert (difference["old_says"], difference["ours_say"]) == ("3 / 1", "1 / 1")


def test_the_rows_of_another_database_are_not_taken_for_this_ones(
    cli: Cli, db: Postgres, database: str, postgres: Any, migrated: str, kept: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """An operator who tried it on a copy before has the same days of both."""
    rollup(db, 4, 2)
    shadow_run(cli)
    with scratch_database(postgres, migrated) as other:
        monkeypatch.setenv("DATABASE_URL", other)
        with closing(Postgres(lambda: connect(other))) as other_db:
            rollup(other_db, 9, 9)
            shadow_run(cli)
    files = {json.loads(file.read_text())["database"]: file for file in kept.iterdir()}
    assert set(files) == {DatabaseUrl.parse(url).address for url in (database, other)}
    own = json.loads(files[DatabaseUrl.parse(database).address].read_text())
    assert (own["schema"], own["days"]) == ("analytics", "2026-03-10..2026-03-11")
    assert [row["count"] for row in own["rows"]["event_aggregates"]] == [4]
    password = DatabaseUrl.parse(database).password or ""
    assert password
    assert all(password not in f"{file} {file.read_text()}" for file in files.values())


@pytest.mark.parametrize(
    ("kind", "start", "hours"),
    [(HOURLY, DAY, 1), (REPORTS, DAY + timedelta(days=2), 24)],
    ids=["an hour of the day", "a report that counts the two days before anew"],
)
def test_shadow_will_not_take_our_rows_for_old_ones(
    cli: Cli, db: Postgres, kept: Path, kind: str, start: datetime, hours: int
) -> None:
    ran(db, kind, start, hours=hours)
    answer = shadow_run(cli)
    assert answer.code == 1
    assert "were not saved" in answer.err


def test_what_a_later_hour_booked_of_late_events_is_no_old_row(
    cli: Cli, db: Postgres, kept: Path
) -> None:
    rollup(db, 9, 9)
    shadow_run(cli)
    event(db, 1)
    db.execute("update analytics.contact_activity set created_at = :at", at=DAY + timedelta(days=9))
    with db.transaction():
        hour = Window(DAY + timedelta(days=9), DAY + timedelta(days=9, hours=1))
        book_hour(db, Hour(hour))
    shadow_run(cli)
    [file] = kept.iterdir()
    rows = json.loads(file.read_text())["rows"]["event_aggregates"]
    assert [row["count"] for row in rows] == [9]


def test_days_that_are_not_over_cannot_be_compared(cli: Cli, kept: Path) -> None:
    today = datetime.now(UTC).date()
    answer = cli("cutover", "shadow", "--from", today, "--to", today + timedelta(days=1))
    assert answer.code == 1
    assert f"--to can be at most {today}" in answer.err
    assert list(kept.iterdir()) == []


def test_old_rows_that_are_not_in_the_named_schema(
    cli: Cli, db: Postgres, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = shadow_run(cli, "--old-schema", "nosuch")
    assert answer.code == 1
    assert "No schema nosuch" in answer.err
    assert "migrate" not in answer.err
    monkeypatch.setenv("DATABASE_URL_OLD", "bla")
    answer = shadow_run(cli)
    assert answer.code == 1
    assert "DATABASE_URL_OLD must look like postgresql://" in answer.err


def test_shadow_reads_a_copy_in_another_schema(cli: Cli, db: Postgres, kept: Path) -> None:
    """With the columns of the old tables: no distinct contacts, narrow counts."""
    event(db, 1)
    rollup(db, 1, 1)
    stats(db, 1, 1)
    db.execute(
        "create schema old_one;"
        "create table old_one.event_aggregates as"
        " select organization_id, date, event_type, count::int + 2 as count"
        " from analytics.event_aggregates;"
        "create table old_one.campaign_daily_stats as"
        " select campaign_id, organization_id, date, opened::int"
        " from analytics.campaign_daily_stats"
    )
    ran(db, HOURLY, DAY, times=24)
    ran(db, REPORTS, DAY, hours=24)
    answer = shadow_run(cli, "--old-schema", "old_one")
    assert answer.code == 0
    assert [row["old_says"] for row in answer.json["differences"]] == ["3 / "]


def test_a_schema_is_a_name_and_nothing_else(db: Postgres) -> None:
    with pytest.raises(OperatorError):
        shadow.read_old(db, "x; drop schema crm", DAYS)


def test_an_account_without_anything_is_not_ready() -> None:
    needs = needs_of(CONFIG, ["analytics"])
    found = list(findings.of_account(WORKER, needs, Account()))
    assert not any(one.done for one in found)
    assert any("wrangler queues create" in one.why for one in found)


def test_a_deployed_worker_is_ready() -> None:
    needs = needs_of(CONFIG, ["analytics"])
    account = Account(
        queues={QUEUE: 345_600, DLQ: 1_209_600},
        buckets={"mauntic-warmup-counters"},
        hyperdrives={
            "mauntic": Hyperdrive(id="0" * 32, name="mauntic", caching=Caching(disabled=True))
        },
        secrets={WORKER.name: {WORKER.gate}},
        scripts={WORKER.name},
        consumers={QUEUE: [WORKER.name], DLQ: [WORKER.name]},
    )
    found = list(findings.of_account(WORKER, needs, account))
    assert [one.why for one in found if not one.done] == []


def test_an_open_gate_is_the_operators_to_close() -> None:
    """The command that closes a new worker's gate would stop a running worker."""
    needs = needs_of(CONFIG, ["analytics"])
    account = Account(scripts={WORKER.name}, secrets={WORKER.name: set()})
    found = list(findings.of_account(WORKER, needs, account))
    [gate] = [one for one in found if one.subject == WORKER.gate]
    assert (gate.done, gate.is_yours) == (False, True)
    assert "mauntic cutover back --env analytics" in gate.why
    assert not any("secret put" in one.why for one in found)


def test_a_schema_that_lacks_migrations_is_not_ready(database: str, db: Postgres) -> None:
    [finding] = findings.of_schema(database)
    assert finding.done
    db.execute("delete from ops.schema_migrations where version = '0003'")
    [finding] = findings.of_schema(database)
    assert not finding.done
    assert "0003" in finding.why


def test_the_hours_before_must_be_booked(db: Postgres) -> None:
    now = DAY + timedelta(hours=10, minutes=1)
    ran(db, HOURLY, DAY - timedelta(days=1), times=30, trigger="backfill")
    [finding] = findings.of_today(db, WORKER, now)
    assert not finding.done
    assert finding.why.startswith("3 hours")
    ran(db, HOURLY, DAY + timedelta(hours=6), times=3, trigger="backfill")
    [finding] = findings.of_today(db, WORKER, now)
    assert finding.done


def healthy(db: Postgres) -> datetime:
    """25 hours of every schedule, by crons."""
    ran(db, HOURLY, DAY, times=25)
    ran(db, REPORTS, DAY - timedelta(days=1), hours=24, times=2, scheduled_for=DAY)
    ran(db, "analytics.reset-warmup-daily", DAY - timedelta(days=1), hours=24, times=2)
    return DAY + timedelta(hours=25, minutes=40)


def looked_at(db: Postgres, now: datetime) -> dict[str, bool]:
    day = timedelta(hours=24)
    found = [
        *findings.of_age(db, WORKER, now, day),
        *findings.of_windows(db, WORKER, now, day),
        *findings.of_ills(db, WORKER, now - day),
    ]
    return {one.subject: one.done for one in found}


def test_a_healthy_day_is_done(db: Postgres) -> None:
    assert all(looked_at(db, healthy(db)).values())


def test_before_a_day_is_over_it_is_not_done(db: Postgres) -> None:
    ran(db, HOURLY, DAY, times=4)  # the fifth hour has its grace still
    seen = looked_at(db, DAY + timedelta(hours=5, minutes=10))
    assert [subject for subject, done in seen.items() if not done] == ["crons"]


def test_an_hour_that_was_not_run_is_named(db: Postgres) -> None:
    now = healthy(db)
    db.execute(
        "delete from ops.job_runs where job_type = :t and window_start = :s",
        t=HOURLY,
        s=DAY + timedelta(hours=12),
    )
    assert looked_at(db, now)[HOURLY] is False


def test_a_dead_letter_and_a_dead_window_are_named(db: Postgres) -> None:
    now = healthy(db)
    db.execute(
        "update ops.job_runs set status = 'dead', error_text = 'why' where job_type = :t", t=REPORTS
    )
    died(db, QUEUE, None, now - timedelta(hours=1))
    seen = looked_at(db, now)
    assert seen[REPORTS] is False
    assert seen["unknown"] is False


def died(db: Postgres, queue: str, kind: str | None, at: datetime, status: str = "dead") -> None:
    db.execute(
        "insert into ops.dead_letters"
        " (queue, message_id, job_type, reason, attempts, dead_at, status)"
        " values (:queue, 'm', :kind, 'invalid', 1, :at, :status)",
        queue=queue, kind=kind, at=at, status=status,
    )  # fmt: skip


def test_a_dead_letter_that_waits_is_named_however_old_it_is(db: Postgres) -> None:
    now = healthy(db)
    died(db, QUEUE, HOURLY, now - timedelta(days=41), status="discarded")
    assert all(looked_at(db, now).values())
    died(db, QUEUE, HOURLY, now - timedelta(days=40))
    assert looked_at(db, now)[HOURLY] is False


def test_a_dead_letter_belongs_to_the_worker_of_its_queue(db: Postgres) -> None:
    """Its type may belong to another worker, or exist no longer."""
    now = healthy(db)
    died(db, "mauntic-scoring-events", None, now)
    assert all(looked_at(db, now).values())
    died(db, QUEUE, "scoring.CalculateScore", now)
    assert looked_at(db, now)["scoring.CalculateScore"] is False


def test_a_window_that_was_late_is_named_though_it_succeeded(db: Postgres) -> None:
    now = healthy(db)
    db.execute(
        "update ops.job_runs set overdue_at = :now where job_type = :t and window_start = :s",
        now=now, t=HOURLY, s=DAY + timedelta(hours=12),
    )  # fmt: skip
    [finding] = findings.of_ills(db, WORKER, now - timedelta(hours=24))
    assert (finding.subject, finding.done, finding.why) == (HOURLY, False, "1 late")


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """One account is named, as wrangler requires."""
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "a1")
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "t1")


def test_enable_opens_the_gate_only_when_all_is_ready(
    cli: Cli, db: Postgres, account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    def run(command: wrangler.Command) -> int:
        lines.append(command.line)
        return 0

    monkeypatch.setattr(wrangler, "run", run)
    answer = cli("cutover", "enable", "--env", "analytics", "--json")
    assert answer.code == 1
    assert lines == []
    start = (datetime.now(UTC) - timedelta(days=1)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    ran(db, HOURLY, start, times=49, trigger="backfill")
    answer = cli("cutover", "enable", "--env", "analytics", "--json")
    assert answer.code == 0
    assert lines == ["printf true | wrangler secret put ENABLE_ANALYTICS_CRON --env analytics"]


def test_back_closes_the_gate_and_leaves_the_old_scheduler_to_the_operator(
    cli: Cli, account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No command has started it or can see that it was started."""
    monkeypatch.setattr(wrangler, "run", lambda command: 0)
    answer = cli("cutover", "back", "--env", "analytics")
    assert answer.code == 0
    gate, old = answer.out.splitlines()
    assert gate.split()[0] == "done"
    assert old.split()[0] == "YOURS"
    assert "DISABLE_SCHEDULER=false" in old
    reported = cli("cutover", "back", "--env", "analytics", "--json").json
    assert [(one["done"], one["is_yours"]) for one in reported] == [(True, False), (False, True)]


def test_back_starts_no_second_scheduler_where_the_gate_stays_open(
    cli: Cli, account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrangler, "run", lambda command: 1)
    answer = cli("cutover", "back", "--env", "analytics")
    assert answer.code == 1
    gate, old = answer.out.splitlines()
    assert "printf false | wrangler secret put ENABLE_ANALYTICS_CRON" in gate
    assert "must not be started" in old
    assert "DISABLE_SCHEDULER" not in answer.out
    assert all(line.startswith("NOT DONE") for line in (gate, old))


@pytest.mark.parametrize(
    "words",
    [
        ("shadow", "--from", "2026-03-10", "--to", "2026-03-11"),
        ("enable", "--env", "analytics"),
        ("watch", "--env", "analytics"),
    ],
    ids=["shadow", "enable", "watch"],
)
def test_without_a_database_it_is_asked_for(
    cli: Cli, kept: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    answer = cli("cutover", *words)
    assert answer.code == 1
    assert "Set DATABASE_URL to the deployed database." in answer.err
    assert "--remote" not in answer.err


@pytest.mark.parametrize("step", ["enable", "back"])
def test_a_gate_is_set_in_an_account_that_is_named(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Otherwise wrangler would ask, or use the account of its last login."""
    monkeypatch.setattr(wrangler, "run", lambda command: pytest.fail(command.line))
    answer = cli("cutover", step, "--env", "analytics")
    assert answer.code == 1
    assert "Set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN" in answer.err
