"""No table grows without limit: each has a period, and a tick deletes older rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mauntic.database.url import connect
from shared.settings import Settings
from shared.tick import retention
from shared.tick.dispatch import dispatch
from shared.tick.retention import NOT_BY_AGE, RETENTION_PERIODS, RetentionPeriod
from tests.fakes import World
from tests.shared.toy import NOON, toy

NOW = NOON
ONE = "00000000-0000-0000-0000-000000000001"
# A row of each table, of the given age.
ROWS = {
    "delivery.messages": (
        "insert into delivery.messages (organization_id, idempotency_key, channel, state,"
        f" expires_at, finished_at) values ('{ONE}', :key, 'email', 'sent', '2026-01-01', :at)"
    ),
    "delivery.attempts": (
        "insert into delivery.attempts (message_id, attempt, call_id, started_at)"
        f" values (cast(md5(:key) as uuid), 1, '{ONE}', :at)"
    ),
    "delivery.calls": (
        "insert into delivery.calls (id, organization_id, channel, message_count, started_at)"
        f" values (cast(md5(:key) as uuid), '{ONE}', 'email', 1, :at)"
    ),
    "delivery.delivery_events": (
        "insert into delivery.delivery_events (organization_id, channel, event_type, event_id,"
        f" created_at) values ('{ONE}', 'email', 'opened', :key, :at)"
    ),
    "delivery.platform_outbox": (
        "insert into delivery.platform_outbox (organization_id, message_id, kind, occurred_at)"
        f" values ('{ONE}', cast(md5(:key) as uuid), 'sent', :at)"
    ),
    "crm.segment_changes": (
        "insert into crm.segment_changes"
        f" values (cast(md5(:key) as uuid), 1, '{ONE}', '{ONE}', 'entered', 1, :at)"
    ),
    "journey.step_executions": (
        "insert into journey.step_executions (execution_id, step_id, organization_id, completed_at,"
        f" seq) values (cast(md5(:key) as uuid), '{ONE}', '{ONE}', :at, 1)"
    ),
    "journey.execution_logs": (
        "insert into journey.execution_logs (execution_id, organization_id, level, message,"
        f" created_at) values (cast(md5(:key) as uuid), '{ONE}', 'info', :key, :at)"
    ),
    "journey.pending_events": (
        "insert into journey.pending_events"
        f" values (cast(md5(:key) as uuid), '{ONE}', '{ONE}', 'x', :at)"
    ),
    "journey.outbox": (
        "insert into journey.outbox (type, organization_id, contact_id, body, created_at)"
        f" values (:key, '{ONE}', '{ONE}', '{{}}', :at)"
    ),
    "delivery.config_alerts": (
        "insert into delivery.config_alerts (channel, config_id, problem, alerted_at)"
        " values ('email', cast(md5(:key) as uuid), 'paused', :at)"
    ),
    "ops.message_failures": (
        "insert into ops.message_failures (queue, message_id, attempt, body_digest, error_class,"
        " error_text, failed_at) values ('q', :key, 1, '', 'E', 'text', :at)"
    ),
    "ops.dead_letters": (
        "insert into ops.dead_letters (queue, message_id, reason, attempts, dead_at)"
        " values ('q', :key, 'invalid', 1, :at)"
    ),
    "ops.job_runs": (
        "insert into ops.job_runs (job_type, window_start, window_end, status, trigger,"
        " scheduled_for, finished_at) values (:key, '2026-01-01', '2026-01-02', 'succeeded',"
        " 'backfill', '2026-01-02', :at)"
    ),
    "analytics.hourly_cells": (
        "with turn as (insert into analytics.booking_turns (organization_id, date, taken_at)"
        " values (cast(md5(:key) as uuid), cast(:at as date), :at))"
        " insert into analytics.hourly_cells (organization_id, date, event_type, hour, booked_in,"
        " count, first_seen, fingerprint) values (cast(md5(:key) as uuid), cast(:at as date),"
        " 'email_opened', :at, :at, 1, 1, 1)"
    ),
    "analytics.locked_days": (
        "insert into analytics.locked_days (job_type, date) values (:key, cast(:at as date))"
    ),
    "analytics.partial_counts": (
        "insert into analytics.partial_counts (job_type, window_start, split, organization_id,"
        f" date, piece, subject, figures, counted_at) values (:key, :at, 1, '{ONE}', '2026-01-01',"
        " 1, '', '{}', :at)"
    ),
    "scoring.score_history": (
        "insert into scoring.score_history values"
        f" ('{ONE}', cast(md5(:key) as uuid), cast(:at as date), 1, 1, 1, 1)"
    ),
    "scoring.signal_alerts": (
        "insert into scoring.signal_alerts (organization_id, contact_id, signal_type, priority,"
        " deadline, status, expired_at)"
        f" values ('{ONE}', '{ONE}', :key, 'low', :at, 'expired', :at)"
    ),
    "scoring.alert_requests": (
        "insert into scoring.alert_requests (organization_id, contact_id, signal_type, priority,"
        f" opened_at) values ('{ONE}', '{ONE}', :key, 'low', :at)"
    ),
    "scoring.threshold_outbox": (
        "insert into scoring.threshold_outbox (organization_id, contact_id, score, previous_score,"
        f" scored_at) values ('{ONE}', cast(md5(:key) as uuid), 1, 2, :at)"
    ),
    "crm.contact_changes": (
        "insert into crm.contact_changes (consumer, organization_id, source, name, at)"
        f" values ('scoring', '{ONE}', 'config', :key, :at)"
    ),
    "ops.parts": (
        'insert into ops.parts (kind, subject_id, version, part, "of", bounds, queued_until,'
        f" done_at) values (:key, '{ONE}', 1, 1, 1, '{{}}', :at, :at)"
    ),
    "analytics.changed_hours": (
        "insert into analytics.changed_hours (organization_id, event_type, hour, changed_at)"
        f" values ('{ONE}', :key, '2026-01-01', :at)"
    ),
}
by_table = pytest.mark.parametrize("kept", RETENTION_PERIODS, ids=lambda kept: kept.table)


@pytest.fixture
def owner(database: str) -> Iterator[Any]:
    with closing(connect(database)) as connection:
        yield connection


def fill(owner: Any, kept: RetentionPeriod, **ages: timedelta) -> None:
    """Rows of the given ages, by name."""
    for key, age in ages.items():
        owner.run("set timezone = 'UTC'")
        owner.run(ROWS[kept.table], key=key, at=NOW - age)


def count(owner: Any, kept: RetentionPeriod) -> int:
    [[rows]] = owner.run(f"select count(*) from {kept.table}")
    return int(rows)


def prune(database: str, **variables: str) -> World:
    outside = World(database, now=NOW, secrets=variables)
    ports = outside.ports()
    retention.prune(toy().jobs, NOW, ports)
    ports.db.close()
    return outside


def test_every_table_of_ours_has_a_period_or_a_reason(owner: Any) -> None:
    tables = {
        name
        for [name] in owner.run(
            "select nspname || '.' || relname from pg_class join pg_namespace as n"
            " on n.oid = relnamespace where relkind in ('r', 'p')"
            " and relname <> 'schema_migrations'"
            " and nspname in ('analytics', 'campaign', 'content', 'crm', 'delivery',"
            " 'journey', 'ops', 'scoring')"
        )
    }
    by_age = [kept.table for kept in RETENTION_PERIODS]
    assert sorted([*by_age, *NOT_BY_AGE]) == sorted(tables)
    assert ROWS.keys() == set(by_age)


@by_table
def test_what_is_older_than_its_period_goes_and_nothing_else(
    kept: RetentionPeriod, database: str, owner: Any
) -> None:
    period, day = timedelta(days=kept.days), timedelta(days=1)
    fill(owner, kept, older=period + day, oldest=3 * period, younger=period - day, new=timedelta())
    outside = prune(database)
    assert count(owner, kept) == 2
    assert outside.named("retention.deleted") == [
        {"event": "retention.deleted", "level": "info", "table": kept.table, "count": 2}
    ]
    prune(database)
    assert count(owner, kept) == 2


@by_table
def test_a_variable_sets_the_period(kept: RetentionPeriod, database: str, owner: Any) -> None:
    fill(owner, kept, old=timedelta(days=kept.days + 5))
    prune(database, **{kept.setting: str(kept.days + 10)})
    assert count(owner, kept) == 1
    prune(database, **{kept.setting: "never"})
    assert count(owner, kept) == 1
    prune(database, **{kept.setting: str(kept.days)})
    assert count(owner, kept) == 0


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "0", "99999999", "²"])
def test_a_wrong_period_keeps_every_row_and_is_an_event(
    text: str, database: str, owner: Any
) -> None:
    [letters] = [kept for kept in RETENTION_PERIODS if kept.table == "ops.dead_letters"]
    fill(owner, letters, old=timedelta(days=10_000))
    outside = prune(database, RETENTION_DAYS_DEAD_LETTERS=text)
    assert count(owner, letters) == 1
    [output] = outside.named("retention.wrong_setting")
    assert "RETENTION_DAYS_DEAD_LETTERS must be a number of days" in output["error"]


@by_table
def test_a_tick_deletes_a_bounded_portion_the_oldest_first(
    kept: RetentionPeriod, database: str, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROWS_MAX", 1)
    monkeypatch.setattr(retention, "PORTIONS_MAX", 2)
    ages = {f"row{n}": timedelta(days=2 * kept.days + 10 - n) for n in range(5)}
    fill(owner, kept, **ages)
    assert [(prune(database), count(owner, kept))[1] for _ in range(3)] == [3, 1, 0]


@by_table
def test_what_another_transaction_holds_is_left_without_waiting(
    kept: RetentionPeriod, database: str, owner: Any
) -> None:
    fill(owner, kept, one=timedelta(days=2 * kept.days), two=timedelta(days=2 * kept.days + 1))
    owner.run("begin")
    owner.run(f"select 1 from {kept.turns or kept.table} limit 1 for update")
    with closing(connect(database)) as admin:
        before = datetime.now(UTC)
        outside = prune(database)
        assert datetime.now(UTC) - before < timedelta(seconds=20)  # a wait for a lock ends after 50
        [[left]] = admin.run(f"select count(*) from {kept.table}")
    owner.run("rollback")
    assert left == 1
    assert outside.named("retention.failed") == []


def test_letters_go_without_their_descendants_and_open_alerts_stay(
    database: str, owner: Any
) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    owner.run(ROWS["ops.dead_letters"], key="parent", at=long_ago)
    owner.run(ROWS["ops.dead_letters"], key="child", at=NOW)
    owner.run(
        "update ops.dead_letters set redriven_from ="
        " (select id from ops.dead_letters where message_id = 'parent') where message_id = 'child'"
    )
    owner.run(
        "insert into scoring.signal_alerts (organization_id, contact_id, signal_type, priority,"
        f" deadline) values ('{ONE}', '{ONE}', 'x', 'low', :at)",
        at=long_ago,
    )
    prune(database)
    assert owner.run("select message_id, redriven_from from ops.dead_letters") == [["child", None]]
    assert owner.run("select count(*) from scoring.signal_alerts") == [[1]]


def test_the_first_tick_of_an_hour_does_it(database: str, owner: Any) -> None:
    """Whichever that is: the one on the hour may be lost."""
    left = []
    for minutes in (0, 5, 59, 72, 73, 180):
        owner.run(ROWS["ops.dead_letters"], key=f"{minutes}", at=datetime(2020, 1, 1, tzinfo=UTC))
        at = NOON + timedelta(minutes=minutes)
        asyncio.run(dispatch(toy(), "0 * * * *", at, World(database, now=at).ports()))
        [[letters]] = owner.run("select count(*) from ops.dead_letters")
        left.append(letters)
    assert left == [0, 1, 2, 0, 1, 0]


def test_a_period_is_not_shorter_than_what_the_jobs_look_back_upon() -> None:
    with pytest.raises(ValueError, match="from 15 up"):
        RETENTION_PERIODS[0].period(Settings({"RETENTION_DAYS_MESSAGE_FAILURES": "14"}.get))
