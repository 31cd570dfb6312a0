"""Jobs that act on the current state: cost and traces of a tick without work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any, Literal

import pytest

from mauntic.database.url import connect
from shared.jobs import WindowJob, Worker
from shared.ledger.ledger import LEASE
from shared.messages import WindowMessage
from shared.ports import Database
from shared.queues import Queue
from shared.tick.dispatch import dispatch
from shared.windows import Schedule, five_minutes_before, hour_before, minute_before
from tests.fakes import World
from tests.shared.tick.test_dispatch import counted, mark
from tests.shared.toy import NOON, Hourly, done, rows_of, world

MINUTE = timedelta(minutes=1)
EACH_MINUTE = Schedule("* * * * *", minute_before, timedelta(minutes=10), catch_up=1)
HOURLY = Schedule("0 * * * *", hour_before, timedelta(minutes=30))


class Fold(WindowMessage):
    type: Literal["toy.fold"] = "toy.fold"


class Wake(WindowMessage):
    type: Literal["toy.wake"] = "toy.wake"


def asked(db: Database) -> bool:
    """One statement."""
    return bool(db.rows("select exists (select 1 from public.feed) as yes")[0]["yes"])


def worker(has_work: Callable[[Database], bool] | None = asked) -> Worker:
    fold = WindowJob(Fold, done, EACH_MINUTE, has_work=has_work, keep_runs=timedelta(days=1))
    return Worker(
        "toy",
        "toy",
        [Queue("toy-jobs", "TOY", 3)],
        "ENABLE_TOY_CRON",
        [fold, WindowJob(Hourly, done, HOURLY)],
    )


def runs(url: str) -> dict[str, str]:
    """Map each ledger row (job and end of the window) to its status."""
    with rows_of(url) as look:
        rows = look("select * from ops.job_runs order by job_type, window_end")
    return {f"{row['job_type']} {row['window_end']:%m-%dT%H:%M}": row["status"] for row in rows}


def feed(url: str, rows: int) -> None:
    with closing(connect(url)) as db:
        db.run("create table if not exists public.feed (id int)")
        db.run("truncate public.feed")
        db.run("insert into public.feed select generate_series(1, :rows)", rows=rows)


def tick(
    outside: World, minutes: int, cron: str = "* * * * *", of: Worker | None = None
) -> list[str]:
    """Run a tick this many minutes after noon; return the sent types."""
    outside.queue.sent.clear()
    asyncio.run(dispatch(of or worker(), cron, NOON + minutes * MINUTE, outside.ports()))
    return [body["type"] for body in outside.queue.sent]


def test_a_tick_without_work_is_one_statement_no_message_and_no_row(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(database, 0)
    outside = world(database)
    ports = outside.ports()
    statements = counted(ports, monkeypatch)
    assert asyncio.run(dispatch(worker(), "* * * * *", NOON + MINUTE, ports)) == 0
    assert len(statements) == 1
    assert asyncio.run(dispatch(worker(), "* * * * *", NOON, ports)) == 0
    assert len(statements) == 1 + 2  # the first tick of an hour looks for runs that are left
    assert outside.queue.sent == []
    assert runs(database) == {}
    with rows_of(database) as look:
        assert look("select * from ops.schedules") == []


def test_a_run_whose_message_was_lost_is_ended_though_another_did_its_work(database: str) -> None:
    """Nothing is left to do, so no later tick has work. The first tick of an hour past the lease
    ends the row."""
    outside = world(database)
    feed(database, 1)
    assert tick(outside, 34) == ["toy.fold"]
    feed(database, 0)
    sent = [minute for minute in range(35, 100) if tick(outside, minute)]
    assert sent == [60]  # at 12:34 its message may still be on its way, for a quarter of an hour
    assert sorted(runs(database).values()) == ["queued", "skipped"]
    mark(database, "succeeded", lease_until=None)
    assert [minute for minute in range(101, 400) if tick(outside, minute)] == []


def test_minutes_without_work_were_not_missed(database: str) -> None:
    outside = world(database)
    feed(database, 1)
    assert tick(outside, 0) == ["toy.fold"]
    mark(database, "succeeded", lease_until=None)
    feed(database, 0)
    assert [tick(outside, minute) for minute in (1, 2, 3)] == [[], [], []]
    feed(database, 1)
    assert tick(outside, 4) == ["toy.fold"]
    assert list(runs(database).values()) == ["succeeded", "queued"]
    assert outside.named("dispatch.skipped") == []


def test_a_frequent_tick_looks_for_its_own_job_alone(database: str) -> None:
    feed(database, 1)
    outside = world(database)
    assert tick(outside, 60) == ["toy.fold"]
    assert tick(outside, 120, "0 * * * *") == ["toy.hourly"]
    assert tick(outside, 121) == ["toy.fold"]


def test_of_a_job_that_acts_on_now_one_window_is_under_way_at_a_time(database: str) -> None:
    """A late queue does not fill with minutes."""
    feed(database, 1)
    outside = world(database)
    assert tick(outside, 0) == ["toy.fold"]
    assert [tick(outside, minute) for minute in range(1, 16)] == [[]] * 15
    mark(database, "succeeded", lease_until=None)
    assert tick(outside, 20) == ["toy.fold"]
    assert outside.queue.sent[0]["scheduledFor"] == "2026-03-10T12:20:00Z"


def test_a_message_that_was_lost_is_followed_by_the_newest_window(database: str) -> None:
    feed(database, 1)
    outside = world(database)
    tick(outside, 0)
    outside.now += LEASE
    assert tick(outside, int(LEASE / MINUTE)) == ["toy.fold"]
    assert list(runs(database).values()) == ["skipped", "queued"]
    assert outside.named("dispatch.skipped") == []


def test_without_has_work_the_older_windows_are_skipped_without_a_report(database: str) -> None:
    wake = WindowJob(
        Wake, done, Schedule("*/5 * * * *", five_minutes_before, timedelta(minutes=10), catch_up=1)
    )
    of = Worker("toy", "toy", [Queue("toy-jobs", "TOY", 3)], "ENABLE_TOY_CRON", [wake])
    outside = world(database)
    assert tick(outside, 0, "*/5 * * * *", of) == ["toy.wake"]
    mark(database, "succeeded", lease_until=None)
    assert tick(outside, 30, "*/5 * * * *", of) == ["toy.wake"]
    assert outside.queue.sent[0]["scheduledFor"] == "2026-03-10T12:30:00Z"
    assert list(runs(database).values()) == ["succeeded", *5 * ["skipped"], "queued"]
    assert outside.named("dispatch.skipped") == []


def test_while_postgres_is_away_no_message_asks_what_only_postgres_knows(database: str) -> None:
    outside = world(None)
    assert tick(outside, 1) == []
    assert len(outside.named("dispatch.ledger_unavailable")) == 1
    assert tick(outside, 60, "0 * * * *") == ["toy.hourly"]


def test_runs_are_kept_as_long_as_their_job_says(database: str) -> None:
    feed(database, 1)
    outside = world(database)
    tick(outside, 0)
    tick(outside, 0, "0 * * * *")
    mark(database, "succeeded", lease_until=None)
    a_day = 24 * 60
    tick(outside, a_day)
    assert "toy.fold 03-10T12:00" not in runs(database)  # it ended a day ago
    assert "toy.fold 03-11T12:00" in runs(database)
    tick(outside, 400 * a_day - 60, "0 * * * *")
    assert "toy.hourly 03-10T12:00" in runs(database)
    tick(outside, 400 * a_day + 60, "0 * * * *")
    assert "toy.hourly 03-10T12:00" not in runs(database)


def test_many_old_runs_go_in_the_course_of_several_hours(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.tick.retention.ROWS_MAX", 1)
    monkeypatch.setattr("shared.tick.retention.PORTIONS_MAX", 2)
    feed(database, 1)
    outside = world(database)
    with rows_of(database) as look:
        look(
            "insert into ops.job_runs"
            " (job_type, window_start, window_end, status, trigger, scheduled_for)"
            " select 'toy.fold', at, at + interval '1 minute', 'succeeded', 'cron', at"
            " from generate_series(cast(:noon as timestamptz) - interval '25 hours',"
            " cast(:noon as timestamptz) - interval '24 hours 56 minutes',"
            " interval '1 minute') as at",
            noon=NOON,
        )
    left = []
    for minute in (0, 1, 60, 119, 121):
        tick(outside, minute)
        left.append(sum("03-09" in key for key in runs(database)))
    assert left == [3, 3, 1, 1, 0]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"has_work": asked}, "catch_up=1"),
        ({"keep_runs": timedelta(hours=48)}, "looks back"),
    ],
)
def test_declarations_that_would_lose_windows_are_refused(
    fields: dict[str, Any], says: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        WindowJob(Hourly, done, HOURLY, **fields)


@pytest.mark.parametrize("count", [0, 49])
def test_a_schedule_catches_up_one_to_48_windows(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 48"):
        Schedule("0 * * * *", hour_before, timedelta(hours=1), catch_up=count)
