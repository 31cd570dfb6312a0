"""A backlog causes no work: ticks, a late queue, and a counting ledger."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mauntic.database.embedded.server import Server
from mauntic.database.url import connect
from shared.flow.consume import consume
from shared.jobs import Run, WindowJob, Worker
from shared.ledger.ledger import LEASE, PATIENCE_MAX
from shared.messages import WindowMessage
from shared.outcome import Done, Outcome, Sharded
from shared.queues import Queue
from shared.tick.dispatch import dispatch
from shared.windows import Schedule, hour_before, quarter_hour_before
from tests.fakes import FakeBatch, FakeDelivery, World
from tests.scratch import scratch_database
from tests.shared.toy import NOON, rows_of, runs, toy, world
from tests.thorough import examples

HOUR = timedelta(hours=1)
QUARTER = timedelta(minutes=15)
SHARDS = 3


class Split(WindowMessage):
    type: Literal["toy.split"] = "toy.split"


class Often(WindowMessage):
    type: Literal["toy.often"] = "toy.often"


@dataclass
class Late:
    """A queue that delivers when its test decides, and a worker that counts its runs.

    A message waits for the next of `delays`; `doubles` are the positions of messages that are
    delivered twice. `fails` are the positions of runs that fail with a temporary error.
    """

    world: World
    delays: list[timedelta]
    doubles: frozenset[int] = frozenset()
    fails: frozenset[int] = frozenset()
    measured: bool = False
    moved: int = 0
    failed: int = 0
    ran: Counter[tuple[str, datetime, str]] = field(default_factory=Counter)
    waiting: list[tuple[datetime, int, FakeDelivery]] = field(default_factory=list)
    order: count[int] = field(default_factory=count)
    delivered: int = 0

    def worker(self) -> Worker:
        split = WindowJob(Split, self.splitting, Schedule("0 * * * *", hour_before, HOUR))
        often = WindowJob(Often, self.plain, Schedule("*/15 * * * *", quarter_hour_before, HOUR))
        queue = Queue("toy-jobs", "TOY", max_retries=3)
        return Worker("toy", "toy", [queue], "ENABLE_TOY_CRON", [split, often])

    async def splitting(self, run: Run) -> Done | Sharded:
        self.count("toy.split", run)
        if run.shard:
            return Done()
        return Sharded(tuple({"index": n + 1, "of": SHARDS} for n in range(SHARDS)))

    async def plain(self, run: Run) -> Done:
        self.count("toy.often", run)
        return Done()

    def count(self, kind: str, run: Run) -> None:
        self.ran[kind, run.window.start, run.shard.key if run.shard else ""] += 1
        if sum(self.ran.values()) in self.fails:
            self.failed += 1
            raise TimeoutError("passing")

    def tick(self, at: datetime, cron: str) -> None:
        self.world.now = max(self.world.now, at)
        if self.measured:
            oldest = min((one.sent_at for _, _, one in self.waiting), default=None)
            self.world.queue.measured = {
                "backlogCount": len(self.waiting),
                "backlogBytes": 100 * len(self.waiting),
                "oldestMessageTimestamp": oldest and oldest.timestamp() * 1_000,
            }
        asyncio.run(dispatch(self.worker(), cron, at, self.world.ports()))
        self.take()

    def take(self) -> None:
        """Put the sent messages into the queue."""
        delays = self.world.queue.delays_s
        for body, delay_s in zip(self.world.queue.sent, delays, strict=True):
            place = self.moved
            self.moved += 1
            delay = self.delays[place % len(self.delays)] + timedelta(seconds=delay_s)
            for copy in range(2 if place in self.doubles else 1):
                self.put(FakeDelivery(body, id=f"m{place}", sent_at=self.world.now), delay, copy)
        self.world.queue.sent.clear()
        delays.clear()

    def put(self, delivery: FakeDelivery, delay: timedelta, copy: int = 0) -> None:
        at = self.world.now + delay + copy * timedelta(minutes=7)
        heapq.heappush(self.waiting, (at, next(self.order), delivery))

    def go_on_until(self, end: datetime) -> None:
        """Deliver, one by one, the messages that are due by then."""
        while self.waiting and self.waiting[0][0] <= end:
            at, _, delivery = heapq.heappop(self.waiting)
            self.world.now = max(self.world.now, at)
            self.delivered += 1
            batch = FakeBatch("toy-jobs", [delivery])
            asyncio.run(consume(batch, self.worker(), self.world.ports()))
            if delivery.answer == "retry":
                again = FakeDelivery(
                    delivery.body, delivery.id, delivery.attempts + 1, delivery.sent_at
                )
                self.put(again, timedelta(seconds=delivery.delay_s or 0))
            self.take()
        self.world.now = max(self.world.now, end)

    def tick_for(self, time: timedelta, since: datetime = NOON) -> None:
        """Run the ticks of both crons for this time."""
        for quarters in range(int(time / QUARTER) + 1):
            at = since + quarters * QUARTER
            self.go_on_until(at)
            if at.minute == 0:
                self.tick(at, "0 * * * *")
            self.tick(at, "*/15 * * * *")


def expected(hours: int) -> dict[tuple[str, datetime, str], int]:
    """Each window once, and each shard of a split one once."""
    windows = [NOON + (n - 1) * HOUR for n in range(hours + 1)]
    shards = ["", *(f"{n}/{SHARDS}" for n in range(1, SHARDS + 1))]
    quarters = [NOON + (n - 1) * QUARTER for n in range(4 * hours + 1)]
    return {("toy.split", start, shard): 1 for start in windows for shard in shards} | {
        ("toy.often", start, ""): 1 for start in quarters
    }


@pytest.mark.parametrize("minutes", [0, 20, 35, 60, 200])
@pytest.mark.parametrize("measured", [False, True])
def test_a_split_window_is_done_whatever_the_queue_s_delay(
    database: str, minutes: int, measured: bool
) -> None:
    """At 35 minutes a tick used to void the shards before they came, every time."""
    late = Late(world(database, NOON), [timedelta(minutes=minutes)], measured=measured)
    late.tick_for(6 * HOUR)
    late.go_on_until(NOON + 30 * HOUR)
    assert late.ran == expected(6)
    assert set(runs(database).values()) == {"succeeded"}


def test_a_day_of_a_queue_that_stands_still_makes_no_more_runs(database: str) -> None:
    """It used to cause 625 runs of 25 windows."""
    late = Late(world(database, NOON), [timedelta(days=1)])
    late.tick_for(10 * HOUR)
    sent = late.moved
    late.go_on_until(NOON + 60 * HOUR)
    assert late.ran == expected(10)
    assert sent <= 4 * (11 + 41)  # at once, and after 16, 80 and 336 minutes


@settings(
    max_examples=examples(12),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    delays=st.lists(
        st.sampled_from([0, 1, 10, 15, 17, 40, 90, 300, 1_500, 4_000]), min_size=1, max_size=7
    ),
    doubles=st.frozensets(st.integers(0, 40), max_size=12),
    fails=st.frozensets(st.integers(1, 40), max_size=4),
    measured=st.booleans(),
)
@example(delays=[35], doubles=frozenset(), fails=frozenset(), measured=False)
@example(delays=[4_000], doubles=frozenset(range(40)), fails=frozenset({1, 3}), measured=True)
def test_the_runs_are_the_windows_and_the_retries_of_failures(
    postgres: Server,
    migrated: str,
    delays: list[int],
    doubles: frozenset[int],
    fails: frozenset[int],
    measured: bool,
) -> None:
    hours = 4
    with scratch_database(postgres, migrated) as url:
        minutes = [timedelta(minutes=minute) for minute in delays]
        late = Late(world(url, NOON), minutes, doubles, fails, measured)
        late.tick_for(hours * HOUR)
        late.go_on_until(NOON + timedelta(days=8))
        assert sum(late.ran.values()) == sum(expected(hours).values()) + late.failed
        assert late.ran.keys() == expected(hours).keys()
        assert set(runs(url).values()) == {"succeeded"}
        assert not late.waiting


def waits(outside: World, quarters: int) -> list[int]:
    """Return, for a queue that loses everything, the minutes after which each message is sent."""
    sent = []
    for minutes in range(0, quarters * 15, 15):
        at = NOON + timedelta(minutes=minutes)
        outside.now = max(outside.now, at)
        asyncio.run(dispatch(toy(), "0 * * * *", at, outside.ports()))
        sent += [
            minutes for body in outside.queue.sent if body["scheduledFor"] == "2026-03-10T12:00:00Z"
        ]
        outside.queue.sent.clear()
    return sent


def test_a_message_that_was_not_started_is_sent_again_less_and_less_often(database: str) -> None:
    hours = 50
    assert waits(world(database, NOON), hours * 4) == [0, 30, 105, 375, 1_410, 2_850]


def test_a_message_that_the_queue_does_not_have_is_sent_at_once(database: str) -> None:
    """Its backlog is empty, or younger than the message."""
    outside = world(database, NOON)
    outside.queue.measured = {"backlogCount": 0, "oldestMessageTimestamp": 0}
    assert waits(outside, 6) == [0, 15, 30, 45, 60, 75]


def test_a_message_that_a_consumer_may_hold_is_not_sent_again(database: str) -> None:
    """It is in no queue's backlog then, for at most the length of an invocation."""
    outside = world(database, NOON)
    outside.queue.measured = {"backlogCount": 0, "oldestMessageTimestamp": 0}
    counts = []
    for minutes in (0, 5, 14, 15):
        outside.now = NOON + timedelta(minutes=minutes)
        asyncio.run(dispatch(toy(), "0 * * * *", outside.now, outside.ports()))
        counts.append(len(outside.queue.sent))
    assert counts == [1, 1, 1, 2]


def test_a_locked_shard_keeps_no_tick_waiting(database: str) -> None:
    late = Late(world(database, NOON), [timedelta()])
    late.tick_for(timedelta())
    late.go_on_until(NOON)
    assert runs(database)["toy.split 03-10T11"] == "succeeded"
    with closing(connect(database)) as db:
        db.run(
            "update ops.job_runs set status = 'sharded' where job_type = 'toy.split' and shard = ''"
        )
        db.run(
            "update ops.job_runs set status = 'queued', lease_until = :noon where shard <> ''",
            noon=NOON,
        )
        db.run("begin; select 1 from ops.job_runs where shard = '2/3' for update")
        outside = world(database, NOON + QUARTER)
        ports = outside.ports()
        ports.db.execute("set lock_timeout = '2s'")
        asyncio.run(dispatch(late.worker(), "*/15 * * * *", NOON + QUARTER, ports))
    shards = [body["data"]["shard"]["index"] for body in outside.queue.sent if "data" in body]
    assert sorted(shards) == [1, 3]
    assert outside.named("dispatch.ledger_unavailable") == []


@pytest.mark.parametrize(("older", "again"), [(True, [0, 30]), (False, [0, 15, 30, 45])])
def test_a_message_that_the_queue_may_have_is_waited_for(
    database: str, older: bool, again: list[int]
) -> None:
    outside = world(database, NOON)
    oldest = NOON + timedelta(minutes=-1 if older else 14)
    outside.queue.measured = {
        "backlogCount": 5,
        "oldestMessageTimestamp": oldest.timestamp() * 1_000,
    }
    sent = waits(outside, 4)
    assert sent[: len(again)] == again[: len(sent)]
    assert (15 in sent) is not older


def test_a_dead_window_that_is_worth_another_try_is_tried_ever_more_rarely(database: str) -> None:
    """A dead letter and an alert for each; none once 48 newer windows are due."""

    async def failing(run: Run) -> Outcome:
        raise TimeoutError("passing")

    outside = world(database, NOON)
    worker = toy(hourly=failing)
    tried = []
    for hours in range(3 * 24):
        at = NOON + hours * HOUR
        outside.now = max(outside.now, at)
        asyncio.run(dispatch(worker, "0 * * * *", at, outside.ports()))
        bodies = [b for b in outside.queue.sent if b["scheduledFor"] == "2026-03-10T12:00:00Z"]
        outside.queue.sent.clear()
        for body in bodies:
            tried.append(hours)
            last = FakeDelivery(body, id=f"{hours}", attempts=4)
            asyncio.run(consume(FakeBatch("toy-jobs", [last]), worker, outside.ports()))
    assert tried == [0, 2, 7, 25]  # beyond 48 windows no tick looks for it
    assert LEASE * 4**4 > PATIENCE_MAX


def paused(url: str, yes: bool) -> None:
    with closing(connect(url)) as db:
        db.run("update ops.schedules set paused = :yes", yes=yes)


def test_a_pause_holds_what_was_sent_and_keeps_it_due(database: str) -> None:
    late = Late(world(database, NOON), [timedelta(minutes=5)])
    late.tick_for(timedelta())
    paused(database, True)
    late.tick_for(3 * HOUR, NOON + QUARTER)
    assert not late.ran
    assert set(runs(database).values()) == {"queued"}
    assert len(late.world.named("run.held")) == 2
    paused(database, False)
    late.tick_for(HOUR, NOON + 3 * HOUR + QUARTER)
    late.go_on_until(NOON + 6 * HOUR)
    assert late.ran == {
        key: 1
        for key in expected(5)
        if key[1] + (HOUR if "split" in key[0] else QUARTER) <= NOON + 4 * HOUR + QUARTER
    }


def test_a_pause_does_not_hold_what_an_operator_asks_for(database: str) -> None:
    late = Late(world(database, NOON), [timedelta()])
    late.tick_for(timedelta())
    paused(database, True)
    body = {"type": "toy.split", "scheduledFor": NOON.isoformat()}
    late.put(FakeDelivery(body, id="mine"), timedelta())
    late.go_on_until(NOON + HOUR)
    assert runs(database)["toy.split 03-10T11"] == "succeeded"


def test_a_pause_holds_messages_that_a_blind_tick_has_sent(database: str) -> None:
    """Ticks without the ledger do not know the pause; the consumer does."""
    late = Late(world(database, NOON), [timedelta(minutes=5)])
    late.tick_for(timedelta())
    late.go_on_until(NOON + QUARTER)
    paused(database, True)
    late.world.url = None
    late.tick(NOON + HOUR, "0 * * * *")
    assert len(late.waiting) == 1
    late.world.url = database
    late.go_on_until(NOON + 2 * HOUR)
    assert late.ran == expected(0)


def test_a_run_that_waits_for_other_work_is_sent_again_for_as_long_as_it_takes(
    database: str,
) -> None:
    """It uses up no delivery, makes no dead letter, and does not end after a fortnight."""
    from shared.errors import DependencyNotReady

    ready: list[bool] = []

    async def waits_for(run: Run) -> Outcome:
        if not ready and run.window.start == NOON - HOUR:
            raise DependencyNotReady("the hours are not booked")
        return Done()

    outside, worker = world(database, NOON), toy(hourly=waits_for)
    deliveries: list[FakeDelivery] = []

    def tick(at: datetime) -> None:
        outside.now = max(outside.now, at)
        asyncio.run(dispatch(worker, "0 * * * *", at, outside.ports()))
        for body in outside.queue.sent:
            deliveries.append(FakeDelivery(body, id=f"m{len(deliveries)}", attempts=4))
            batch = FakeBatch("toy-jobs", deliveries[-1:])
            asyncio.run(consume(batch, worker, outside.ports()))
        outside.queue.sent.clear()

    for days in range(20):
        tick(NOON + timedelta(days=days))
    assert runs(database)["toy.hourly 03-10T11"] == "waiting"
    assert {one.answer for one in deliveries} == {"ack"}
    assert outside.dlq.sent == []
    assert len(outside.named("run.waiting")) == 20
    with rows_of(database) as look:
        [row] = look("select error_class from ops.job_runs where status = 'waiting'")
    assert row["error_class"] == "DependencyNotReady"
    ready.append(True)
    tick(NOON + timedelta(days=20))
    assert runs(database)["toy.hourly 03-10T11"] == "succeeded"


@pytest.mark.parametrize(
    ("waited", "planned", "is_run"),
    [
        (timedelta(days=399), NOON - timedelta(days=399), True),
        (timedelta(days=401), NOON - timedelta(days=401), False),
        (timedelta(), NOON - 8 * timedelta(days=365), True),  # a tick of years ago, sent just now
    ],
)
def test_a_message_runs_unless_it_has_waited_for_longer_than_the_ledger_keeps_its_run(
    database: str, waited: timedelta, planned: datetime, is_run: bool
) -> None:
    outside = world(database, NOON)
    body = {"type": "toy.hourly", "scheduledFor": planned.isoformat(), "trigger": "cron"}
    delivery = FakeDelivery(body, sent_at=NOON - waited)
    asyncio.run(consume(FakeBatch("toy-jobs", [delivery]), toy(), outside.ports()))
    assert delivery.answer == "ack"
    assert [*runs(database).values()] == (["succeeded"] if is_run else [])
