"""Split windows: shards in any order, and a window that is done when all of them are."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError as ServerSaysNo

from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.errors import LeaseLost
from shared.flow.consume import consume
from shared.jobs import Run
from shared.ledger import ledger
from shared.ledger.ledger import Busy, Lease, Obsolete, RunKey
from shared.messages import Shard
from shared.outcome import Done, Outcome, Sharded
from shared.tick.dispatch import dispatch
from shared.windows import hour_before
from tests.clock import until
from tests.fakes import FakeDelivery, World
from tests.shared.toy import NOON, CpuLimitExceeded, batch, hour_message, rows_of, runs, toy, world
from tests.thorough import examples

WINDOW = "toy.hourly 03-10T11"


async def splitting(run: Run) -> Outcome:
    """Three shards of one row each."""
    if run.shard:
        return Done(rows_read=1, rows_written=10)
    return Sharded(tuple({"index": n, "of": 3} for n in (1, 2, 3)))


def dying(index: int, error: Exception) -> Any:
    async def handler(run: Run) -> Outcome:
        if run.shard and run.shard.index == index:
            raise error
        return await splitting(run)

    return handler


def deliver(outside: World, body: Any, *, handler: Any = splitting, **fields: Any) -> FakeDelivery:
    delivery = FakeDelivery(body, **fields)
    asyncio.run(consume(batch(delivery), toy(hourly=handler), outside.ports()))
    return delivery


def split(outside: World, **fields: Any) -> list[dict[str, Any]]:
    """Run the window until it is split; return the messages of its shards."""
    outside.queue.sent.clear()
    assert deliver(outside, hour_message(), **fields).answer == "ack"
    return list(outside.queue.sent)


def test_a_window_is_done_when_its_last_shard_is(database: str) -> None:
    outside = world(database)
    shards = split(outside)
    assert runs(database) == {WINDOW: "sharded"} | {f"{WINDOW} {n}/3": "queued" for n in (1, 2, 3)}
    for n, body in enumerate(shards):
        assert runs(database)[WINDOW] == "sharded"
        deliver(outside, body, id=f"s{n}")
    assert set(runs(database).values()) == {"succeeded"}
    with rows_of(database) as look:
        [row] = look("select * from ops.job_runs where shard = ''")
    assert (row["rows_read"], row["rows_written"], row["lease_until"]) == (3, 30, None)


def test_the_line_of_a_shard_says_which_it_is(database: str) -> None:
    outside = world(database)
    for n, body in enumerate(split(outside)):
        deliver(outside, body, id=f"s{n}")
    text = [one["shard"] for one in outside.named("queue.metric")]
    assert text == [None, "1/3", "2/3", "3/3"]


def test_the_message_of_a_shard_says_whose_it_is(database: str) -> None:
    first, *_ = split(world(database))
    assert first["scheduledFor"] == "2026-03-10T12:00:00+00:00"
    assert first["data"] == {"shard": {"index": 1, "of": 3, "run": 1}}


@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(order=st.lists(st.integers(0, 2), max_size=8), last=st.permutations([0, 1, 2]))
def test_shards_in_any_order_and_number(database: str, order: list[int], last: list[int]) -> None:
    with rows_of(database) as look:
        look("truncate ops.job_runs")
    outside = world(database)
    shards = split(outside)
    for n in order + last:
        assert deliver(outside, shards[n], id=f"s{n}").answer == "ack"
    assert set(runs(database).values()) == {"succeeded"}


def test_splitting_a_window_again_voids_its_old_shards(database: str) -> None:
    outside = world(database)
    old = split(outside, id="one")
    new = split(outside, id="two")
    for n, body in enumerate(old):
        assert deliver(outside, body, id=f"old{n}").answer == "ack"
    assert runs(database)[WINDOW] == "sharded"
    for n, body in enumerate(new):
        deliver(outside, body, id=f"new{n}")
    assert set(runs(database).values()) == {"succeeded"}


def test_a_window_that_is_run_whole_leaves_no_shards_behind(database: str) -> None:
    """They would stay queued permanently, under a window that has succeeded."""

    async def whole(run: Run) -> Outcome:
        return Done()

    outside = world(database)
    old = split(outside, id="one")
    deliver(outside, hour_message(), handler=whole, id="two")
    assert runs(database) == {WINDOW: "succeeded"}
    assert deliver(outside, old[0], id="late").answer == "ack"
    assert runs(database) == {WINDOW: "succeeded"}


def test_a_shard_that_stalls_before_it_begins_takes_nothing_from_a_newer_split(
    database: str,
) -> None:
    """The shard with its name has succeeded in the meantime, and would stay running permanently."""
    outside = world(database)
    old = split(outside, id="one")

    class Stalling(Postgres):
        """Everything else happens after the first statement."""

        is_first = True

        def interfere(self) -> None:
            for n, body in enumerate(split(outside, id="two")):
                deliver(outside, body, id=f"new{n}")

        def rows(self, sql: str, **parameters: Any) -> list[Any]:
            found = super().rows(sql, **parameters)
            if self.is_first:
                self.is_first = False
                thread = Thread(target=self.interfere)
                thread.start()
                thread.join()
            return found

    ports = replace(outside.ports(), db=Stalling(lambda: connect(database)))
    stalled = FakeDelivery(old[0], id="stalled")
    asyncio.run(consume(batch(stalled), toy(hourly=splitting), ports))
    assert set(runs(database).values()) == {"succeeded"}


class Together:
    """A handler that records the number of concurrent runs; the first `at_once` wait for each
    other.
    """

    def __init__(self, at_once: int, failing: dict[int, BaseException] | None = None) -> None:
        self.meeting, self.failing = asyncio.Barrier(at_once), failing or {}
        self.begun: list[int] = []
        self.at_work = self.at_work_max = 0

    async def __call__(self, run: Run) -> Outcome:
        if run.shard is None:
            return Sharded(tuple({"index": n, "of": 5} for n in range(1, 6)))
        self.begun.append(run.shard.index)
        self.at_work += 1
        self.at_work_max = max(self.at_work_max, self.at_work)
        if run.shard.index <= self.meeting.parties:
            async with asyncio.timeout(10):
                await self.meeting.wait()
        self.at_work -= 1
        if run.shard.index in self.failing:
            raise self.failing[run.shard.index]
        run.ports.db.execute("select 1")
        return Done()

    def deliver_at_once(self, outside: World) -> list[FakeDelivery]:
        """All five shards of a window in one batch."""
        deliver(outside, hour_message(), handler=self)
        deliveries = [FakeDelivery(body, id=f"s{n}") for n, body in enumerate(outside.queue.sent)]
        asyncio.run(consume(batch(*deliveries), toy(hourly=self), outside.ports()))
        return deliveries


def test_the_shards_of_a_batch_are_run_side_by_side(database: str) -> None:
    """Two at a time, each on its own connection, which is closed afterwards."""
    outside, together = world(database), Together(2)
    deliveries = together.deliver_at_once(outside)
    assert [delivery.answer for delivery in deliveries] == ["ack"] * 5
    assert set(runs(database).values()) == {"succeeded"}
    assert (together.at_work_max, outside.connects) == (2, 1 + 2)  # one for the split
    assert sorted(together.begun) == [1, 2, 3, 4, 5]
    with rows_of(database) as look:
        until(lambda: connected(look) == 1)  # this one: a session ends a moment after its close


def test_a_queue_of_one_connection_runs_its_shards_on_that_one(database: str) -> None:
    outside, together = world(database), Together(1)
    deliver(outside, hour_message(), handler=together)
    deliveries = [FakeDelivery(body, id=f"s{n}") for n, body in enumerate(outside.queue.sent)]
    worker = toy(hourly=together)
    narrow = replace(worker, queues=[replace(worker.main_queue, connections=1)])
    asyncio.run(consume(batch(*deliveries), narrow, outside.ports()))
    assert [delivery.answer for delivery in deliveries] == ["ack"] * 5
    assert (together.at_work_max, outside.connects) == (1, 1 + 1)  # one for the split


def connected(look: Any) -> int:
    [row] = look("select count(*) from pg_stat_activity where datname = current_database()")
    return int(row["count"])


def test_a_failing_shard_does_not_affect_concurrent_ones(database: str) -> None:
    outside, together = world(database), Together(2, {2: KeyError("x")})
    together.deliver_at_once(outside)
    dead = {WINDOW: "dead", f"{WINDOW} 2/5": "dead"}
    others = {f"{WINDOW} {n}/5": "succeeded" for n in (1, 3, 4, 5)}
    assert runs(database) == dead | others


def test_processor_time_that_one_shard_uses_up_is_gone_for_all_that_were_not_begun(
    database: str,
) -> None:
    outside, together = world(database), Together(2, {2: CpuLimitExceeded()})
    deliveries = together.deliver_at_once(outside)
    assert together.begun == [1, 2]
    assert [delivery.answer for delivery in deliveries] == ["ack", *["retry"] * 4]


def test_a_shard_whose_work_was_cancelled_is_retried_alone(database: str) -> None:
    """The lane is not cancelled: the task that the handler awaited was."""
    outside, together = world(database), Together(2, {2: asyncio.CancelledError()})
    deliveries = together.deliver_at_once(outside)
    assert [delivery.answer for delivery in deliveries] == ["ack", "retry", "ack", "ack", "ack"]


def test_a_shard_that_comes_twice_in_a_batch_is_run_once(database: str) -> None:
    """The second is obsolete even at its last delivery, and makes no dead letter."""
    outside = world(database)
    bodies = split(outside)
    deliveries = [
        FakeDelivery(body, id=f"s{n}", attempts=4) for n, body in enumerate(bodies) for _ in "ab"
    ]
    asyncio.run(consume(batch(*deliveries), toy(hourly=splitting), outside.ports()))
    assert [delivery.answer for delivery in deliveries] == ["ack"] * 6
    assert outside.dlq.sent == []
    assert set(runs(database).values()) == {"succeeded"}


@pytest.mark.parametrize(
    "refusal", [OSError("too many"), ServerSaysNo({"C": "53300", "M": "too many clients already"})]
)
def test_a_database_that_takes_no_second_connection_has_the_first_do_it_all(
    database: str, refusal: Exception
) -> None:
    def refused() -> Any:
        raise refusal

    outside = world(database)
    bodies = split(outside)
    ports = replace(outside.ports(), connect=lambda: Postgres(refused))
    deliveries = [FakeDelivery(body, id=f"s{n}") for n, body in enumerate(bodies)]
    asyncio.run(consume(batch(*deliveries), toy(hourly=splitting), ports))
    assert [delivery.answer for delivery in deliveries] == ["ack"] * 3


def test_each_shard_is_reported_when_it_is_done(database: str) -> None:
    """The adjacent lane may take a while."""
    outside = world(database)
    reported: list[int] = []

    async def handler(run: Run) -> Outcome:
        if run.shard is None or run.shard.index == 1:
            return await splitting(run)
        if run.shard.index == 2:
            for _ in range(1_000):
                await asyncio.sleep(0.001)
        reported.append(len(outside.named("queue.metric")))
        return await splitting(run)

    deliver(outside, hour_message(), handler=handler)
    deliveries = [FakeDelivery(body, id=f"s{n}") for n, body in enumerate(outside.queue.sent)]
    outside.events.clear()
    asyncio.run(consume(batch(*deliveries), toy(hourly=handler), outside.ports()))
    assert reported == [1, 2]


def test_windows_are_run_one_after_the_other(database: str) -> None:
    """In order, each with the result of the previous one, which is the cheapest way."""
    order = []

    async def waiting(run: Run) -> Outcome:
        order.append(("begins", run.window.start.hour))
        await asyncio.sleep(0.01)
        order.append(("ends", run.window.start.hour))
        return Done()

    ends = [NOON - timedelta(hours=hours) for hours in (4, 3)]
    deliveries = [FakeDelivery(hour_message(end), id=f"m{end.hour}") for end in ends]
    asyncio.run(consume(batch(*deliveries), toy(hourly=waiting), world(database).ports()))
    assert order == [("begins", 7), ("ends", 7), ("begins", 8), ("ends", 8)]


def test_a_shard_of_an_old_split_cannot_stand_for_one_of_the_new(database: str) -> None:
    """Both have the name 1/3 and token 1, but may cover different organizations."""
    outside = world(database)
    old, *_ = split(outside, id="one")
    new: list[dict[str, Any]] = []

    async def slow(run: Run) -> Outcome:
        if not new:
            new.extend(await asyncio.to_thread(split, outside, id="two"))
            key = RunKey("toy.hourly", run.window, Shard.model_validate(new[0]["data"]["shard"]))
            db = Postgres(lambda: connect(database))
            taken = ledger.start(
                db, key, trigger="cron", message_id="new0", planned=NOON, now=outside.now
            )
            assert isinstance(taken, Lease)
            db.close()
        return Done()

    delivery = deliver(outside, old, handler=slow, id="old0")
    assert delivery.answer == "retry"
    assert runs(database)[f"{WINDOW} 1/3"] == "running"
    assert deliver(outside, old, id="old0", attempts=2).answer == "ack"  # void: no work
    assert runs(database)[f"{WINDOW} 1/3"] == "running"


def test_a_dead_shard_takes_its_window_with_it_and_redriving_it_completes_both(
    database: str,
) -> None:
    outside = world(database)
    shards = split(outside)
    deliver(outside, shards[0], id="s0", handler=dying(1, KeyError("x")))
    assert runs(database)[WINDOW] == "dead"
    for n in (1, 2):
        assert deliver(outside, shards[n], id=f"s{n}").answer == "ack"
    assert runs(database) == {
        WINDOW: "dead",
        f"{WINDOW} 1/3": "dead",
        f"{WINDOW} 2/3": "succeeded",
        f"{WINDOW} 3/3": "succeeded",
    }
    [letter] = outside.dlq.sent
    deliver(outside, letter["deadLetter"]["body"] | {"redrivenFrom": 1}, id="redriven")
    assert set(runs(database).values()) == {"succeeded"}
    with rows_of(database) as look:
        [row] = look("select error_class, retryable from ops.job_runs where shard = ''")
    assert row == {"error_class": None, "retryable": None}


def later_ticks(outside: World) -> None:
    """Hours pass: ticks, and whatever they enqueue of the window is delivered, with its shards."""
    for hours in range(1, 4):
        outside.now = NOON + timedelta(hours=hours, seconds=5)
        asyncio.run(dispatch(toy(), "0 * * * *", NOON + timedelta(hours=hours), outside.ports()))
        while outside.queue.sent:
            body = outside.queue.sent.pop(0)
            if body["scheduledFor"].startswith("2026-03-10T12"):
                deliver(outside, body, id=f"again-{outside.now}-{len(outside.queue.sent)}")


def test_the_lost_sibling_of_a_shard_that_died_is_made_good_once_that_is_redriven(
    database: str,
) -> None:
    outside = world(database)
    asyncio.run(dispatch(toy(), "0 * * * *", NOON, outside.ports()))
    first, second, _lost = split(outside)
    deliver(outside, first, id="s0")
    deliver(outside, second, id="s1", handler=dying(2, KeyError("x")))
    outside.queue.sent.clear()
    deliver(outside, second, id="redriven")
    assert runs(database)[WINDOW] == "sharded"
    later_ticks(outside)
    assert runs(database)[WINDOW] == "succeeded"


def test_a_shard_whose_split_is_void_takes_no_newer_one_with_it(database: str) -> None:
    """It was running while its window was split again, and dies only then."""
    outside = world(database)
    asyncio.run(dispatch(toy(), "0 * * * *", NOON, outside.ports()))
    old, *_ = split(outside, id="one")
    new: list[dict[str, Any]] = []

    async def slow(run: Run) -> Outcome:
        interfere = Thread(target=lambda: new.extend(split(outside, id="two")))
        interfere.start()
        interfere.join()
        raise KeyError("x")

    deliver(outside, old, handler=slow, id="old0")
    assert runs(database)[WINDOW] == "sharded"
    for n, body in enumerate(new):
        deliver(outside, body, id=f"new{n}")
    assert runs(database)[WINDOW] == "succeeded"


def test_a_shard_that_an_outage_killed_is_made_good_by_a_later_tick(database: str) -> None:
    outside = world(database)
    asyncio.run(dispatch(toy(), "0 * * * *", NOON, outside.ports()))
    shards = split(outside)
    deliver(outside, shards[0], id="s0", attempts=4, handler=dying(1, TimeoutError()))
    assert runs(database)[WINDOW] == "dead"
    sent: list[dict[str, Any]] = []
    for hours in (1, 2):
        outside.queue.sent.clear()
        asyncio.run(dispatch(toy(), "0 * * * *", NOON + timedelta(hours=hours), outside.ports()))
        sent += [body for body in outside.queue.sent if "data" in body]
    assert [body["data"]["shard"]["index"] for body in sent] == [2, 3, 1]
    assert sent[2]["data"] == shards[0]["data"]
    for n, body in enumerate(sent):
        deliver(outside, body, id=f"again{n}")
    assert set(list(runs(database).values())[:4]) == {"succeeded"}


def test_each_shard_that_ends_keeps_its_window_alive(database: str) -> None:
    outside = world(database)
    shards = split(outside)
    outside.advance(minutes=15)
    deliver(outside, shards[0], id="s0")
    with rows_of(database) as look:
        [row] = look("select lease_until from ops.job_runs where shard = ''")
    assert row["lease_until"] == outside.now + ledger.LEASE


def test_the_last_two_shards_at_once(database: str) -> None:
    """Their transactions overlap: the second waits for the first, and then sees that it is last."""
    outside = world(database)
    first, second, third = split(outside)
    deliver(outside, first, id="s0")

    async def both() -> None:
        await asyncio.gather(
            *(
                asyncio.to_thread(deliver, outside, body, id=f"s{n}")
                for n, body in ((1, second), (2, third))
            )
        )

    asyncio.run(both())
    assert set(runs(database).values()) == {"succeeded"}


def test_a_shard_is_not_split_again_and_a_split_has_parts(database: str) -> None:
    async def again(run: Run) -> Outcome:
        return Sharded(({"index": 1, "of": 1},))

    async def nothing(run: Run) -> Outcome:
        return Sharded(())

    outside = world(database)
    [shard] = (deliver(outside, hour_message(), handler=again), list(outside.queue.sent))[1]
    deliver(outside, shard, id="s0", handler=again)
    assert runs(database) == {WINDOW: "dead", f"{WINDOW} 1/1": "dead"}
    deliver(outside, hour_message(NOON - timedelta(hours=1)), id="none", handler=nothing)
    assert runs(database)["toy.hourly 03-10T10"] == "dead"


def test_shards_that_the_queue_did_not_take_are_sent_at_the_retry(database: str) -> None:
    """The split is valid: nothing is surveyed again."""
    outside = world(database)
    outside.queue.broken = OSError("no")
    assert deliver(outside, hour_message()).answer == "retry"
    assert runs(database)[WINDOW] == "sharded"
    outside.queue.broken = None
    assert deliver(outside, hour_message(), attempts=2).answer == "ack"
    assert [body["data"]["shard"]["run"] for body in outside.queue.sent] == [1, 1, 1]


@pytest.mark.parametrize("trigger", ["cron", "catch-up"])
def test_a_second_message_of_a_tick_leaves_a_split_alone(database: str, trigger: str) -> None:
    outside = world(database)
    shards = split(outside)
    outside.advance(hours=3)
    outside.queue.sent.clear()
    assert deliver(outside, hour_message(trigger=trigger), id="again").answer == "ack"
    assert outside.queue.sent == []
    for n, body in enumerate(shards):
        deliver(outside, body, id=f"s{n}")
    assert set(runs(database).values()) == {"succeeded"}


def test_an_operator_s_message_runs_a_split_window_as_a_whole(database: str) -> None:
    outside = world(database)
    split(outside)
    assert [body["data"]["shard"]["run"] for body in split(outside, id="operator")] == [2, 2, 2]


# The ledger alone

KEY = RunKey("toy.hourly", hour_before(NOON))


def start(db: Postgres, message_id: str, minutes: int = 0) -> object:
    now = NOON + timedelta(minutes=minutes)
    return ledger.start(db, KEY, trigger="manual", message_id=message_id, planned=NOON, now=now)


def test_a_lease_is_given_to_one_and_its_token_rises(database: str) -> None:
    db = Postgres(lambda: connect(database))
    assert start(db, "a") == Lease(KEY, 1)
    assert start(db, "b", minutes=6) == Busy(601)
    assert start(db, "b", minutes=16) == Lease(KEY, 2)
    with pytest.raises(LeaseLost):
        ledger.finish(db, Lease(KEY, 1), Done(), NOON)
    ledger.finish(db, Lease(KEY, 2), Done(), NOON)
    assert start(db, "b") == Obsolete()
    assert start(db, "c") == Lease(KEY, 3)
    db.close()


def test_a_failure_of_another_message_leaves_the_run_alone(database: str) -> None:
    db = Postgres(lambda: connect(database))
    start(db, "a")
    failure: Any = {"retryable": True, "error_class": "E", "error_text": "e", "until": NOON}
    ledger.fail(db, KEY, message_id="b", dead=True, **failure)
    assert runs(database) == {WINDOW: "running"}
    ledger.fail(db, KEY, message_id="a", dead=False, **failure)
    assert runs(database) == {WINDOW: "failed"}
    assert start(db, "a", minutes=1) == Lease(KEY, 2)
    db.close()


def test_attempts_are_counted_by_message(database: str) -> None:
    db = Postgres(lambda: connect(database))
    for minutes, message_id in ((0, "a"), (20, "a"), (40, "b")):
        start(db, message_id, minutes)
        [row] = db.rows("select attempts from ops.job_runs")
    assert row["attempts"] == 1
    db.close()


def test_a_shard_whose_split_is_unknown_is_void(database: str) -> None:
    db = Postgres(lambda: connect(database))
    key = RunKey("toy.hourly", KEY.window, Shard(index=1, of=2, run=7))
    assert (
        ledger.start(db, key, trigger="manual", message_id="a", planned=NOON, now=NOON)
        == Obsolete()
    )
    assert runs(database) == {}
    db.close()
