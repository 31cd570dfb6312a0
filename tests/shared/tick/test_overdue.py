"""Alerts of a standstill: one per job and tick, and one when it is over."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import timedelta

from mauntic.database.url import connect
from shared.flow.consume import consume
from shared.jobs import WindowJob, Worker
from shared.tick.dispatch import dispatch
from tests.fakes import FakeBatch, FakeDelivery, World
from tests.shared.tick.test_due import EACH_MINUTE, Fold, feed
from tests.shared.tick.test_due import worker as folding
from tests.shared.toy import NOON, done, toy, world

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def alarmed(url: str | None) -> World:
    outside = world(url, NOON)
    outside.secrets["ALERT_WEBHOOK_URL"] = "https://alerts.test/"
    return outside


def tick(outside: World, hours: float, cron: str = "0 * * * *", of: Worker | None = None) -> None:
    at = NOON + hours * HOUR
    outside.now = max(outside.now, at)
    asyncio.run(dispatch(of or toy(), cron, at, outside.ports()))


def run_all(outside: World) -> None:
    """Deliver the sent messages."""
    sent, outside.queue.sent = outside.queue.sent, []
    for place, body in enumerate(sent):
        delivery = FakeDelivery(body, id=f"{outside.now}-{place}")
        asyncio.run(consume(FakeBatch("toy-jobs", [delivery]), toy(), outside.ports()))


def posted(outside: World) -> list[tuple[str, str | None, int | None]]:
    """Return and remove event, job and count of each alert so far."""
    posts = outside.http.posts
    outside.http.requests.clear()
    return [(post["event"], post.get("type"), post.get("count")) for _, post in posts]


def test_an_outage_of_days_is_one_alert_a_job_and_one_when_it_is_over(database: str) -> None:
    """It used to cause 205 posts."""
    outside = alarmed(database)
    tick(outside, 0)
    run_all(outside)
    assert posted(outside) == []
    tick(outside, 120)  # no tick for five days: 120 hours and 4 daily windows
    assert posted(outside) == [("job.overdue", "toy.daily", 5), ("job.overdue", "toy.hourly", 47)]
    run_all(outside)
    tick(outside, 121)
    run_all(outside)
    # 47 late ones and the 72 beyond 48; the window of the tick itself was in time
    assert posted(outside) == [
        ("job.recovered", "toy.daily", 5),
        ("job.recovered", "toy.hourly", 119),
    ]
    tick(outside, 122)
    assert posted(outside) == []


def test_a_standstill_says_each_tick_what_is_new(database: str) -> None:
    outside = alarmed(database)
    found = []
    for hours in range(5):
        tick(outside, hours)
        found.append(posted(outside))
    assert found == [[], *4 * [[("job.overdue", "toy.hourly", 1)]]]
    run_all(outside)
    tick(outside, 5)
    assert posted(outside) == [("job.recovered", "toy.hourly", 4)]


def test_a_schedule_that_was_never_late_does_not_recover(database: str) -> None:
    outside = alarmed(database)
    for hours in range(4):
        tick(outside, hours)
        run_all(outside)
    assert posted(outside) == []


def test_a_minute_job_that_stands_still_is_overdue_too(database: str) -> None:
    feed(database, 1)
    outside = alarmed(database)
    for minutes in range(14):
        tick(outside, minutes / 60, "* * * * *", folding())
    assert posted(outside) == [("job.overdue", "toy.fold", 1)]


def test_without_postgres_an_alert_goes_out_once_an_hour(database: str) -> None:
    outside = alarmed(None)
    for hours in range(12):
        tick(outside, hours)
    tick(outside, 14, "0 2 * * *")  # 02:00: the hourly tick of the same minute says it
    assert posted(outside) == 12 * [("dispatch.ledger_unavailable", None, None)]
    assert len(outside.named("dispatch.ledger_unavailable")) == 13


def test_of_the_ticks_of_an_hour_the_first_says_it() -> None:
    outside = alarmed(None)
    fold = WindowJob(Fold, done, EACH_MINUTE, has_work=lambda db: bool(db.rows("select 1")))
    of = Worker("toy", "toy", toy().queues, toy().gate, [*toy().jobs, fold])
    for minutes in range(120):
        tick(outside, minutes / 60, "* * * * *", of)
        if minutes % 60 == 0:
            tick(outside, minutes / 60, "0 * * * *", of)
    assert posted(outside) == 2 * [("dispatch.ledger_unavailable", None, None)]
    assert outside.queue.sent != []


def test_a_paused_schedule_is_not_overdue(database: str) -> None:
    outside = alarmed(database)
    tick(outside, 0)
    with closing(connect(database)) as db:
        db.run("update ops.schedules set paused = true")
    for hours in range(1, 4):
        tick(outside, hours)
    assert posted(outside) == []
