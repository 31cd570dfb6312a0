"""Ticks on a real Postgres: the windows that they enqueue after any fault."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mauntic.database.url import connect
from shared.errors import DatabaseUnreachable, QueueUnavailable
from shared.flow import attempts
from shared.flow.dead_letters import archive
from shared.ledger.ledger import LEASE
from shared.outcome import RetryIn
from shared.ports import Ports
from shared.sql.statements import SQL
from shared.tick.dispatch import dispatch
from tests.fakes import FakeBatch, FakeDelivery, World
from tests.shared.toy import NOON, rows_of, runs, toy, world

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
HOURLY, DAILY = "0 * * * *", "0 2 * * *"


def tick(outside: World, at: datetime, cron: str = HOURLY) -> int:
    """Run one tick; return the number of sent messages."""
    return asyncio.run(dispatch(toy(), cron, at, outside.ports()))


def sent(outside: World) -> list[tuple[str, str, str]]:
    """Return and remove what was sent so far: job, planned hour, trigger."""
    bodies = [(b["type"], b["scheduledFor"][5:13], b["trigger"]) for b in outside.queue.sent]
    outside.queue.sent.clear()
    return bodies


def mark(url: str, status: str, **columns: Any) -> None:
    """Set every row of the ledger."""
    settings = ", ".join(f"{name} = :{name}" for name in ("status", *columns))
    with closing(connect(url)) as db:
        db.run(f"update ops.job_runs set {settings}", status=status, **columns)


def test_a_first_tick_begins_the_history_of_every_schedule(database: str) -> None:
    outside = world(database)
    assert tick(outside, NOON) == 1  # yesterday's report was due before anybody could miss it
    assert sent(outside) == [("toy.hourly", "03-10T12", "cron")]
    assert runs(database) == {"toy.hourly 03-10T11": "queued"}
    tick(outside, NOON + timedelta(hours=15))
    assert ("toy.daily", "03-11T02", "catch-up") in sent(outside)


def test_a_message_says_what_it_is_for(database: str) -> None:
    outside = world(database)
    tick(outside, NOON)
    assert outside.queue.sent[0] == {
        "type": "toy.hourly",
        "scheduledFor": "2026-03-10T12:00:00Z",
        "trigger": "cron",
        "correlationId": "toy.hourly@2026-03-10T11:00Z/2026-03-10T12:00Z",
    }
    assert outside.queue.delays_s == [0]


def test_the_same_tick_twice_enqueues_once(database: str) -> None:
    outside = world(database)
    assert (tick(outside, NOON), tick(outside, NOON)) == (1, 0)


def test_two_ticks_at_once_enqueue_a_window_once(database: str) -> None:
    worlds = [world(database) for _ in range(4)]
    barrier = threading.Barrier(4)

    def run(outside: World) -> None:
        barrier.wait()
        tick(outside, NOON)

    threads = [threading.Thread(target=run, args=(outside,)) for outside in worlds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(message for outside in worlds for message in sent(outside)) == [
        ("toy.hourly", "03-10T12", "cron"),
    ]


@pytest.mark.parametrize(
    ("gate", "count", "event"),
    [
        ("true", 1, "dispatch.sent"),
        ("TRUE", 1, "dispatch.sent"),
        ("false", 0, "dispatch.held"),
        ("", 0, "dispatch.invalid_gate"),
        ("off", 0, "dispatch.invalid_gate"),
    ],
)
def test_the_gate_decides(database: str, gate: str, count: int, event: str) -> None:
    outside = world(database)
    outside.secrets["ENABLE_TOY_CRON"] = gate
    assert tick(outside, NOON) == count
    assert len(outside.named(event)) == 1
    assert len(sent(outside)) == count


def test_a_held_gate_does_not_open_the_database(database: str) -> None:
    outside = world(database)
    outside.secrets["ENABLE_TOY_CRON"] = "false"
    tick(outside, NOON)
    assert outside.connects == 0


def test_what_was_held_is_made_good_when_the_gate_opens(database: str) -> None:
    outside = world(database)
    tick(outside, NOON)
    outside.secrets["ENABLE_TOY_CRON"] = "false"
    for hours in (1, 2):
        tick(outside, NOON + hours * HOUR)
    sent(outside)
    del outside.secrets["ENABLE_TOY_CRON"]
    mark(database, "succeeded", lease_until=None)
    tick(outside, NOON + 3 * HOUR)
    assert sent(outside) == [
        ("toy.hourly", "03-10T13", "catch-up"),
        ("toy.hourly", "03-10T14", "catch-up"),
        ("toy.hourly", "03-10T15", "cron"),
    ]


def test_a_paused_schedule_is_passed_over_and_catches_up_afterwards(database: str) -> None:
    outside = world(database)
    tick(outside, NOON)
    sent(outside)
    with closing(connect(database)) as db:
        db.run("update ops.job_runs set status = 'succeeded', lease_until = null")
        db.run("update ops.schedules set paused = true where job_type = 'toy.hourly'")
        assert tick(outside, NOON + HOUR) == 0
        db.run("update ops.schedules set paused = false")
    tick(outside, NOON + 2 * HOUR)
    assert sent(outside) == [
        ("toy.hourly", "03-10T13", "catch-up"),
        ("toy.hourly", "03-10T14", "cron"),
    ]


@pytest.mark.parametrize(
    ("status", "columns", "again"),
    [
        ("queued", {"lease_until": NOON + HOUR}, True),
        ("queued", {"lease_until": NOON + HOUR + timedelta(seconds=1)}, False),
        ("running", {"lease_until": NOON}, True),
        ("running", {"lease_until": NOON + 2 * HOUR}, False),
        ("sharded", {"lease_until": NOON}, True),
        ("failed", {"lease_until": NOON}, True),
        ("failed", {"lease_until": NOON + 2 * HOUR}, False),
        ("dead", {"lease_until": NOON, "retryable": True}, True),
        ("dead", {"lease_until": NOON, "retryable": False}, False),
        ("succeeded", {"lease_until": None}, False),
        ("skipped", {"lease_until": None}, False),
    ],
)
def test_a_lost_window_is_enqueued_again(
    database: str, status: str, columns: dict[str, Any], again: bool
) -> None:
    outside = world(database)
    tick(outside, NOON)
    sent(outside)
    mark(database, status, **columns)
    tick(outside, NOON + HOUR)
    assert (("toy.hourly", "03-10T12", "catch-up") in sent(outside)) is again


def test_an_outage_of_three_days_is_caught_up_within_bounds_and_the_rest_reported(
    database: str,
) -> None:
    outside = world(database)
    tick(outside, NOON)
    mark(database, "succeeded", lease_until=None)
    sent(outside)
    back = NOON + timedelta(days=3)
    assert tick(outside, back) == 48 + 3
    hours = [plan for kind, plan, _ in sent(outside) if kind == "toy.hourly"]
    assert hours == [f"{back - n * HOUR:%m-%dT%H}" for n in reversed(range(48))]
    [report] = outside.named("dispatch.skipped")
    assert (report["type"], report["count"]) == ("toy.hourly", 24)
    assert report["window"] == "2026-03-10T12:00:00+00:00 to 2026-03-11T12:00:00+00:00"
    statuses = runs(database)
    assert [s for key, s in statuses.items() if "hourly" in key] == (
        ["succeeded"] + 24 * ["skipped"] + 48 * ["queued"]
    )
    tick(outside, back)
    assert len(outside.named("dispatch.skipped")) == 1


def test_a_month_of_silence_costs_days_too(database: str) -> None:
    outside = world(database)
    tick(outside, NOON)
    mark(database, "succeeded", lease_until=None)
    tick(outside, NOON + timedelta(days=30))
    with rows_of(database) as look:
        [row] = look(
            "select count(*) filter (where status = 'skipped') as skipped,"
            " count(*) filter (where status = 'queued') as queued"
            " from ops.job_runs where job_type = 'toy.daily'"
        )
    assert (row["queued"], row["skipped"]) == (14, 16)


def test_windows_that_wait_too_long_are_given_up_with_a_report(database: str) -> None:
    """Ticks fire, but nothing consumes: no window may stay queued permanently without a report."""
    outside = world(database)
    for hours in range(60):
        tick(outside, NOON + hours * HOUR)
    states = [status for key, status in runs(database).items() if "hourly" in key]
    assert states == 12 * ["skipped"] + 48 * ["queued"]
    reports = [r for r in outside.named("dispatch.skipped") if r["type"] == "toy.hourly"]
    assert sum(report["count"] for report in reports) == 12


def test_what_an_operator_asked_for_is_not_given_up_but_sent_again(database: str) -> None:
    """At any age, and with its trigger; not while a run or message is pending."""
    outside = world(database)
    tick(outside, NOON)
    sent(outside)
    mark(database, "queued", trigger="backfill", lease_until=NOON + timedelta(days=30))
    tick(outside, NOON + timedelta(days=30) - HOUR)
    assert ("toy.hourly", "03-10T12", "backfill") not in sent(outside)
    tick(outside, NOON + timedelta(days=30))
    assert sent(outside)[-1] == ("toy.hourly", "03-10T12", "backfill")
    assert runs(database)["toy.hourly 03-10T11"] == "queued"


def test_what_was_done_by_hand_in_the_meantime_is_not_reported_as_skipped(database: str) -> None:
    outside = world(database)
    tick(outside, NOON)
    with rows_of(database) as look:
        look(
            "insert into ops.job_runs"
            " (job_type, window_start, window_end, status, trigger, scheduled_for)"
            " select 'toy.hourly', hour, hour + interval '1 hour', 'succeeded', 'manual', hour"
            " from generate_series(cast(:noon as timestamptz), :end, interval '1 hour') as hour",
            noon=NOON, end=NOON + 51 * HOUR,
        )  # fmt: skip
    mark(database, "succeeded", lease_until=None)
    tick(outside, NOON + 60 * HOUR)
    assert [one["type"] for one in outside.named("dispatch.skipped")] == []


def test_without_postgres_the_own_windows_of_a_tick_are_sent(database: str) -> None:
    outside = world(None)
    assert tick(outside, NOON) == 1
    assert tick(outside, NOON.replace(hour=2), DAILY) == 1
    assert sent(outside) == [
        ("toy.hourly", "03-10T12", "cron"),
        ("toy.daily", "03-10T02", "cron"),
    ]
    assert {
        (one["error_class"], one["error"]) for one in outside.named("dispatch.ledger_unavailable")
    } == {
        (
            "DatabaseUnreachable",
            "DatabaseUnreachable: cannot connect to Postgres: connection refused",
        )
    }
    assert len(outside.named("dispatch.ledger_unavailable")) == 2


def test_a_lost_answer_to_the_claim_still_sends_the_own_windows(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = world(database)
    tick(outside, NOON - timedelta(days=1))
    ports = outside.ports()
    execute = ports.db.execute

    def losing(sql: str, **parameters: Any) -> int:
        touched = execute(sql, **parameters)
        if sql == "commit":
            raise DatabaseUnreachable("the answer was lost")
        return touched

    monkeypatch.setattr(ports.db, "execute", losing)
    assert asyncio.run(dispatch(toy(), HOURLY, NOON, ports)) == 1
    assert runs(database)["toy.hourly 03-10T11"] == "queued"
    later = NOON + HOUR
    tick(outside, later)
    assert ("toy.daily", "03-10T02", "catch-up") in sent(outside)


def test_a_queue_that_takes_nothing_leaves_windows_that_the_next_tick_enqueues(
    database: str,
) -> None:
    outside = world(database)
    outside.queue.broken = OSError("no")
    with pytest.raises(QueueUnavailable):
        tick(outside, NOON)
    outside.queue.broken = None
    tick(outside, NOON + 15 * MINUTE)
    assert ("toy.hourly", "03-10T12", "catch-up") in sent(outside)


def test_a_refused_message_does_not_make_its_window_wait_longer(database: str) -> None:
    """However often the queue refuses, the next tick sends: no interval grows."""
    outside = world(database)
    for number in range(5):
        outside.queue.broken = OSError("no")
        with pytest.raises(QueueUnavailable):
            tick(outside, NOON + number * MINUTE)
    outside.queue.broken = None
    tick(outside, NOON + 5 * MINUTE)
    with rows_of(database) as look:
        [row] = look("select sends from ops.job_runs where job_type = 'toy.hourly'")
    assert row["sends"] == 1
    assert ("toy.hourly", "03-10T12", "catch-up") in sent(outside)


def test_an_overdue_window_is_reported_once_and_posted(database: str) -> None:
    outside = world(database)
    outside.secrets["ALERT_WEBHOOK_URL"] = "http://alerts.test/"
    tick(outside, NOON)
    outside.events.clear()
    outside.http.requests.clear()
    outside.queue.broken = OSError("no")  # the alert does not depend on the queue
    with pytest.raises(QueueUnavailable):
        tick(outside, NOON + HOUR)
    outside.queue.broken = None
    tick(outside, NOON + HOUR)
    tick(outside, NOON + HOUR + LEASE)
    overdue = outside.named("job.overdue")
    assert [(one["type"], one["overdue_s"]) for one in overdue] == [("toy.hourly", 3_600)]
    assert overdue[0]["window"] == "2026-03-10T11:00Z/2026-03-10T12:00Z"
    assert [post["event"] for _, post in outside.http.posts] == ["job.overdue", "dispatch.failed"]


def test_a_window_that_succeeded_is_not_overdue(database: str) -> None:
    outside = world(database)
    tick(outside, NOON)
    mark(database, "succeeded", lease_until=None)
    outside.events.clear()
    tick(outside, NOON + HOUR)
    assert outside.named("job.overdue") == []


@pytest.mark.parametrize(("days", "count"), [(0, 5), (1, 6), (40, 6)])
def test_a_tick_costs_a_fixed_number_of_statements(
    database: str, days: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them, which deletes by age, only in the first tick of an hour."""
    tick(world(database), NOON)
    ports = world(database).ports()
    statements = counted(ports, monkeypatch)
    asyncio.run(dispatch(toy(), HOURLY, NOON + timedelta(days=days), ports))
    assert len(statements) == count


def test_the_watermark_never_goes_back(database: str) -> None:
    """A late tick looks the same; one that goes back would examine, at every tick, each window
    since the beginning.
    """
    outside, marks = world(database), []
    for hours in (0, 3, 1):
        tick(outside, NOON + hours * HOUR)
        with rows_of(database) as look:
            [row] = look("select recorded_until from ops.schedules where job_type = 'toy.hourly'")
        marks.append(row["recorded_until"])
    assert marks == [NOON, NOON + 3 * HOUR, NOON + 3 * HOUR]


OF_SCHEDULES = 3 * 2  # types, bounds and what acts on what there is now


@pytest.mark.parametrize("days", [0, 3, 300, 3_000])
def test_what_a_tick_asks_for_is_bounded(
    database: str, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """48 windows per job to catch up, 1,000 per job to skip, after a pause of any length. The next
    tick requests no more than the first.
    """
    tick(world(database), NOON)
    later = NOON + timedelta(days=days)
    for at in (later, later + HOUR):
        ports = world(database, at).ports()
        sizes = sized(ports, monkeypatch)
        asyncio.run(dispatch(toy(), HOURLY, at, ports))
        [skipping] = [size for sql, size in sizes if sql == SQL["give_up_windows"]]
        assert skipping <= 5 * 2 * 1_000 + OF_SCHEDULES
        assert all(size <= 5 * 2 * 49 for sql, size in sizes if sql != SQL["give_up_windows"])
    if days < 300:
        assert skipping <= OF_SCHEDULES


def sized(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Record each statement of the ports' database from now on: its text, and the number of values
    in its parameters.
    """
    sizes: list[tuple[str, int]] = []

    def noted(real: Any) -> Any:
        def noting(sql: str, **parameters: Any) -> Any:
            lists = [value for value in parameters.values() if isinstance(value, list)]
            sizes.append((sql, sum(map(len, lists))))
            return real(sql, **parameters)

        return noting

    for name in ("rows", "execute"):
        monkeypatch.setattr(ports.db, name, noted(getattr(ports.db, name)))
    return sizes


def test_a_pause_of_years_is_recorded_in_portions(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.tick.due.SKIPPED_MAX", 10)
    outside = world(database)
    tick(outside, NOON)
    back = NOON + 48 * HOUR + 25 * HOUR  # 24 windows lie beyond reach: the first is queued
    counts = []
    for hours in range(4):
        tick(outside, back + hours * HOUR)
        counts.append(sum(status == "skipped" for status in runs(database).values()))
    assert counts == [11, 22, 28, 29]  # and, each hour, the one that passes out of reach


def counted(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that the ports' database is given from now on."""
    statements: list[str] = []

    def noted(real: Any) -> Any:
        def noting(sql: str, **parameters: Any) -> Any:
            statements.append(sql)
            return real(sql, **parameters)

        return noting

    for name in ("rows", "execute"):
        monkeypatch.setattr(ports.db, name, noted(getattr(ports.db, name)))
    return statements


def fail(outside: World, name: str, **ago: float) -> FakeDelivery:
    """Record an attempt that failed this long ago."""
    delivery = FakeDelivery({"type": "toy.single", "data": {}}, id=name)
    ports = replace(outside.ports(), clock=lambda: outside.now - timedelta(**ago))
    attempts.record(delivery, None, RetryIn(1, "KeyError", name), "toy-jobs", ports)
    ports.db.close()
    return delivery


def kept(url: str) -> list[str]:
    """Return the messages whose failures are still recorded."""
    with rows_of(url) as look:
        rows = look("select message_id from ops.message_failures order by failed_at")
    return [row["message_id"] for row in rows]


def test_a_tick_forgets_failures_that_no_dead_letter_can_ask_for(database: str) -> None:
    outside = world(database)
    fail(outside, "old", days=15, seconds=10)
    fail(outside, "younger", days=15)
    letter = fail(outside, "last", days=14)
    tick(outside, NOON)
    assert kept(database) == ["younger", "last"]
    asyncio.run(archive(FakeBatch("toy-jobs-dlq", [letter]), toy(), outside.ports()))
    with rows_of(database) as look:
        [row] = look("select * from ops.dead_letters")
    assert row["error"] == "KeyError: last"


def test_a_tick_that_cannot_forget_has_enqueued_its_windows(database: str) -> None:
    outside = world(database)
    with rows_of(database) as look:
        look("alter table ops.message_failures rename to failures_elsewhere")
    assert tick(outside, NOON) == 1
    assert runs(database) == {"toy.hourly 03-10T11": "queued"}
    [output] = outside.named("retention.failed")
    assert output["error_class"] == "DatabaseError:42P01"
    assert outside.named("dispatch.ledger_unavailable") == []


def test_a_blind_tick_does_not_try_to_forget() -> None:
    outside = world(None)
    assert tick(outside, NOON) == 1
    assert outside.named("retention.failed") == []


def test_a_late_tick_means_its_planned_time(database: str) -> None:
    """A tick that fires half an hour late enqueues the window of its plan."""
    outside = world(database, NOON + timedelta(minutes=30))
    tick(outside, NOON)
    assert ("toy.hourly", "03-10T12", "cron") in sent(outside)


def test_ticks_in_the_wrong_order_lose_nothing(database: str) -> None:
    outside = world(database)
    tick(outside, NOON - HOUR)
    mark(database, "succeeded", lease_until=None)
    sent(outside)
    tick(outside, NOON + HOUR)
    tick(outside, NOON)
    assert [plan for _, plan, _ in sent(outside)] == ["03-10T12", "03-10T13"]
