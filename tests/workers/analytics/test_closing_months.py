"""A month is summed after its hours are booked, whatever happened to their ticks and messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from analytics.store import hours, statements
from analytics.store.hours import Hour
from analytics.worker import WORKER
from mauntic.operations import ledger_queries
from shared.errors import DatabaseError
from shared.ports import Database
from shared.tick.dispatch import dispatch
from shared.windows import Window
from tests.fakes import FakeDelivery, World
from tests.workers.analytics.history import History, deliver

HOURLY, DAILY, MONTHLY = "0 * * * *", "0 2 * * *", "0 3 1 * *"
EVENING = datetime(2026, 2, 28, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
MARCH = EVENING + 4 * HOUR


class Months:
    """The last evening of February, and the time after it."""

    def __init__(self, url: str) -> None:
        self.history = History(url)
        self.world = World(url)
        self.numbers = count()

    def tick(self, cron: str, at: datetime) -> None:
        self.world.now = at + timedelta(seconds=5)
        asyncio.run(dispatch(WORKER, cron, at, self.world.ports()))

    def deliver_all(self) -> None:
        """Deliver until the queue is empty, each message as often as the queue does."""
        while self.world.queue.sent:
            body = self.world.queue.sent.pop(0)
            if "warmup" not in body["type"]:
                self.deliver(body)

    def deliver(self, body: dict[str, object]) -> None:
        message_id, started = f"m{next(self.numbers)}", self.world.now
        for attempts in range(1, WORKER.main_queue.deliveries_max + 1):
            delivery: FakeDelivery = asyncio.run(
                deliver(self.world, body, message_id, attempts=attempts)
            )
            if delivery.answer == "ack":
                break
        self.world.now = started

    def go_on(self, since: datetime, hours: int) -> None:
        for n in range(hours):
            self.tick(HOURLY, since + n * HOUR)
            self.deliver_all()

    def figures(self) -> tuple[int, int]:
        """Return the events of the days of February, and of the month."""
        [row] = self.history.db.rows(
            "select cast(sum(count) filter (where channel is null) as bigint) as days,"
            " cast(sum(count) filter (where channel is not null) as bigint) as month"
            " from analytics.event_aggregates where date between '2026-02-01' and '2026-02-28'"
        )
        return row["days"], row["month"]


@pytest.fixture
def months(database: str) -> Iterator[Months]:
    months = Months(database)
    for hour in (-0.5, 2.5, 3.5):
        months.history.add(1, 1, "email_sent", None, EVENING + hour * HOUR)
    with closing(months.history.db):
        months.tick(HOURLY, EVENING)
        months.deliver_all()
        yield months


def test_hours_of_a_paused_schedule_are_waited_for(months: Months) -> None:
    months.history.db.execute(
        "update ops.schedules set paused = true where job_type = :kind", kind=statements.HOURLY
    )
    months.go_on(EVENING + HOUR, 6)
    months.tick(MONTHLY, MARCH + 3 * HOUR)
    months.deliver_all()
    months.history.db.execute("update ops.schedules set paused = false")
    months.go_on(MARCH + 4 * HOUR, 3)
    assert months.figures() == (3, 3)


def test_a_month_waits_for_weeks_without_a_dead_letter(months: Months) -> None:
    """Longer than a tick catches up, and than a message is retried."""
    set_paused(months, True)
    months.tick(MONTHLY, MARCH + 3 * HOUR)
    months.deliver_all()
    for day in range(1, 20):
        months.tick(HOURLY, MARCH + 24 * day * HOUR)
        months.deliver_all()
    assert months.figures()[1] is None
    set_paused(months, False)
    months.go_on(MARCH + 24 * 20 * HOUR, 3)
    assert months.figures() == (1, 1)  # two hours were skipped: too old to be caught up
    assert months.world.dlq.sent == []


def set_paused(months: Months, paused: bool) -> None:
    months.history.db.execute(
        "update ops.schedules set paused = :paused where job_type = :kind",
        paused=paused, kind=statements.HOURLY,
    )  # fmt: skip


@pytest.mark.parametrize("deleted_at", [4, 22])
def test_an_event_that_goes_within_a_day_is_gone_from_a_month_that_was_summed(
    months: Months, deleted_at: int
) -> None:
    months.go_on(EVENING + HOUR, 4)
    months.tick(MONTHLY, MARCH + 3 * HOUR)
    months.deliver_all()
    assert months.figures() == (3, 3)
    for hour in range(4, 27):
        if hour == deleted_at:  # it was of half past eleven of the month's last evening
            months.history.delete(months.history.events[-1])
        months.tick(HOURLY, MARCH + hour * HOUR)
        if hour == 26:
            months.tick(DAILY, MARCH + hour * HOUR)
        months.deliver_all()
    assert months.figures() == (2, 2)


def test_hours_that_no_tick_has_seen_yet_are_waited_for(months: Months) -> None:
    """No tick since 20:00, and Postgres is briefly unavailable for the month's own."""
    url, months.world.url = months.world.url, None
    months.tick(MONTHLY, MARCH + 3 * HOUR)
    months.world.url = url
    months.deliver_all()
    months.go_on(MARCH + 3 * HOUR, 3)
    assert months.figures() == (3, 3)


def test_hours_that_died_for_the_moment_are_waited_for(
    months: Months, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = hours.book

    def ended(db: Database, hour: Hour, size: hours.Size) -> statements.Booked:
        if hour.window.start in (MARCH - 2 * HOUR, MARCH - HOUR):
            raise DatabaseError("57014", "canceling statement due to statement timeout")
        return book(db, hour, size)

    with monkeypatch.context() as broken:
        broken.setattr(hours, "book", ended)
        months.go_on(EVENING + HOUR, 6)
        months.tick(MONTHLY, MARCH + 3 * HOUR)
        months.deliver_all()
    months.go_on(MARCH + 4 * HOUR, 5)  # a window that died twice is tried again after four hours
    assert months.figures() == (3, 3)


def test_a_backfill_s_lost_message_is_sent_again_and_never_blocks_a_month_permanently(
    months: Months,
) -> None:
    start = datetime(2026, 2, 10, 12, tzinfo=UTC)
    months.history.add(1, 2, "email_opened", None, start)
    window = Window(start, start + HOUR)
    db = months.history.db
    with db.transaction():
        planned = [(window, window.end)]
        ledger_queries.claim_backfill(db, statements.HOURLY, planned, ["missing"], months.world.now)
    months.go_on(EVENING + HOUR, 7)
    months.tick(MONTHLY, MARCH + 3 * HOUR)
    months.deliver_all()
    assert months.figures() == (4, 4)
    [run] = db.rows("select * from ops.job_runs where window_start = :start", start=start)
    assert (run["status"], run["trigger"]) == ("succeeded", "backfill")
