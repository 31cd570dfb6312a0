"""Batches on a real Postgres: every message is answered once, whatever the others do."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from shared.errors import DatabaseError, DatabaseUnreachable, PermanentError, StorageError
from shared.flow.consume import consume
from shared.flow.parse import ParsedMessage
from shared.flow.window_run import record_failure
from shared.jobs import Run, Worker
from shared.ledger.ledger import LEASE
from shared.outcome import Dead, Done, Outcome, RetryIn, Sharded
from shared.ports import Ports
from shared.queues import Queue
from shared.retry import ceiling_s
from tests.fakes import FakeDelivery, World
from tests.shared.toy import (
    NOON,
    CpuLimitExceeded,
    Hourly,
    Listed,
    Single,
    Unreadable,
    batch,
    hour_message,
    rows_of,
    runs,
    toy,
    world,
)

# The handlers write here: one row per day, in some table.
NOTE = (
    "insert into analytics.locked_days (job_type, date) values ('toy', :day) on conflict do nothing"
)


def deliver(outside: World, worker: Worker, *deliveries: FakeDelivery) -> list[str | None]:
    """Consume a batch; return the answers."""
    asyncio.run(consume(batch(*deliveries), worker, outside.ports()))
    return [delivery.answer for delivery in deliveries]


def singles(count: int, **fields: Any) -> list[FakeDelivery]:
    return [
        FakeDelivery({"type": "toy.single", "data": {"n": n}}, id=f"m{n}", **fields)
        for n in range(count)
    ]


def raising(error: BaseException, on: int = 0) -> Any:
    """A message handler that raises for one of its messages."""

    async def handler(message: Single, ports: Ports) -> Outcome:
        if message.data.get("n", on) == on:
            raise error
        return Done()

    return handler


def booked(url: str) -> int:
    """Return the number of rows that handlers have committed."""
    with rows_of(url) as look:
        return int(look("select count(*) as n from analytics.locked_days")[0]["n"])


# One invalid message never harms its batch


def test_a_poisoned_batch_of_a_hundred(database: str) -> None:
    outside = world(database)
    deliveries = singles(100)
    deliveries[3].body = {"type": "toy.nobody"}
    deliveries[50].body = {"type": "toy.hourly", "data": 5}
    worker = toy(single=raising(KeyError("broken"), on=70))
    assert deliver(outside, worker, *deliveries) == ["ack"] * 100
    letters = {one["deadLetter"]["messageId"]: one["deadLetter"] for one in outside.dlq.sent}
    assert {name: letter["reason"] for name, letter in letters.items()} == {
        "m3": "unknown_type",
        "m50": "invalid",
        "m70": "failed",
    }
    assert letters["m70"]["error"] == "KeyError: 'broken'"
    assert letters["m3"]["body"] == {"type": "toy.nobody"}
    statuses = [one["status"] for one in outside.named("queue.metric")]
    assert (statuses.count("ack"), statuses.count("dead")) == (97, 3)
    types = {one["message_id"]: one["type"] for one in outside.named("queue.metric")}
    assert (types["m3"], types["m50"]) == ("unknown", letters["m50"]["jobType"])
    assert len(outside.points) == 100
    assert outside.connects == 1
    assert "test_consume.py" in outside.named("job.crashed")[0]["traceback"]


def test_a_hundred_windows_use_one_connection(database: str) -> None:
    outside = world(database)
    hours = [FakeDelivery(hour_message(NOON - timedelta(hours=n)), id=f"m{n}") for n in range(100)]
    assert deliver(outside, toy(), *hours) == ["ack"] * 100
    assert outside.connects == 1
    assert set(runs(database).values()) == {"succeeded"}


@pytest.mark.parametrize(
    "answer", [None, "done", 0, Sharded(({"index": 1, "of": 1},))], ids=lambda a: type(a).__name__
)
def test_a_handler_that_does_not_answer_is_not_acked_in_silence(database: str, answer: Any) -> None:
    async def handler(message: Single, ports: Ports) -> Any:
        ports.db.execute(NOTE, day=NOON.date())
        return answer

    outside = world(database)
    deliver(outside, toy(single=handler), *singles(1))
    [letter] = outside.dlq.sent
    assert "must answer each of 1 messages" in letter["deadLetter"]["error"]
    assert booked(database) == 0


@pytest.mark.parametrize("answer", [[], [Done()], [Done()] * 3, [Done(), None], None])
def test_a_list_handler_that_forgets_a_message_loses_none(database: str, answer: Any) -> None:
    async def handler(messages: list[Listed], ports: Ports) -> Any:
        return answer if len(messages) > 1 else [Done()]

    outside = world(database)
    deliveries = [FakeDelivery({"type": "toy.listed"}, id=f"m{n}") for n in range(2)]
    assert deliver(outside, toy(listed=handler), *deliveries) == ["ack", "ack"]
    assert [one["status"] for one in outside.named("queue.metric")] == ["ack", "ack"]


def test_a_list_that_fails_as_a_whole_is_tried_one_by_one(database: str) -> None:
    sizes: list[int] = []

    async def handler(messages: list[Listed], ports: Ports) -> list[Outcome]:
        sizes.append(len(messages))
        for message in messages:
            ports.db.execute(NOTE, day=NOON.date() + timedelta(days=message.data["n"]))
            if message.data["n"] == 2:
                ports.db.execute("select 1 / 0")
        return [Done() for _ in messages]

    outside = world(database)
    deliveries = [
        FakeDelivery({"type": "toy.listed", "data": {"n": n}}, id=f"m{n}") for n in range(5)
    ]
    assert deliver(outside, toy(listed=handler), *deliveries) == ["ack"] * 5
    assert sizes == [5, 1, 1, 1, 1, 1]
    assert booked(database) == 4
    [letter] = outside.dlq.sent
    assert letter["deadLetter"]["messageId"] == "m2"
    assert letter["deadLetter"]["error"] == "DatabaseError:22012: division by zero"


def test_a_list_handler_answers_one_by_one(database: str) -> None:
    async def handler(messages: list[Listed], ports: Ports) -> list[Outcome]:
        return [Done(), RetryIn(7, "Later", "later"), Dead("unknown_contact", "NoSuch", "no")]

    deliveries = [FakeDelivery({"type": "toy.listed"}, id=f"m{n}") for n in range(3)]
    outside = world(database)
    assert deliver(outside, toy(listed=handler), *deliveries) == ["ack", "retry", "ack"]
    assert deliveries[1].delay_s == 7
    assert [one["deadLetter"]["reason"] for one in outside.dlq.sent] == ["unknown_contact"]


# Retry or dead letter


@pytest.mark.parametrize(
    ("error", "answer", "reason"),
    [
        (DatabaseError("40P01", "deadlock"), "retry", None),
        (DatabaseUnreachable("gone"), "retry", None),
        (StorageError(429, "slow"), "retry", None),
        (TimeoutError(), "retry", None),
        (StorageError(403, "no"), "ack", "failed"),
        (DatabaseError("23505", "twice"), "ack", "failed"),
        (PermanentError("unknown_contact", "no such"), "ack", "unknown_contact"),
        (KeyError("x"), "ack", "failed"),
        (ValueError("\0\ud800"), "ack", "failed"),
        (RecursionError("deep"), "ack", "failed"),
    ],
    ids=repr,
)
def test_an_error_is_answered_as_the_table_says(
    database: str, error: Exception, answer: str, reason: str | None
) -> None:
    outside = world(database)
    assert deliver(outside, toy(single=raising(error)), *singles(1)) == [answer]
    assert [one["deadLetter"]["reason"] for one in outside.dlq.sent] == ([reason] if reason else [])
    assert len(outside.named("job.crashed")) == (reason == "failed")
    if reason:
        json.dumps(outside.dlq.sent, ensure_ascii=False).encode()


@pytest.mark.parametrize("attempts", [1, 2, 3])
@pytest.mark.parametrize("drawn", [0.0, 0.5, 0.999])
def test_a_retry_waits_as_the_curve_says(database: str, attempts: int, drawn: float) -> None:
    outside = world(database)
    outside.random = drawn
    [delivery] = singles(1, attempts=attempts)
    deliver(outside, toy(single=raising(TimeoutError())), delivery)
    assert delivery.delay_s == round(drawn * ceiling_s(attempts))
    [line] = outside.named("queue.metric")
    assert (line["status"], line["delay_s"]) == ("retry", delivery.delay_s)


def test_the_last_delivery_dies_with_its_error(database: str) -> None:
    outside = world(database)
    worker = toy(single=raising(DatabaseError("40001", "again")), max_retries=3)
    assert deliver(outside, worker, *singles(1, attempts=3)) == ["retry"]
    assert deliver(outside, worker, *singles(1, attempts=4)) == ["ack"]
    [letter] = outside.dlq.sent
    assert letter["deadLetter"] | {"deadAt": "", "body": {}} == {
        "queue": "toy-jobs",
        "messageId": "m0",
        "jobType": "toy.single",
        "body": {},
        "reason": "exhausted",
        "error": "DatabaseError:40001: again",
        "attempts": 4,
        "deadAt": "",
        "sentAt": None,
    }


def test_each_failed_attempt_is_kept(database: str) -> None:
    outside = world(database)
    for attempts in (1, 2):
        deliver(outside, toy(single=raising(TimeoutError())), *singles(1, attempts=attempts))
    with rows_of(database) as look:
        kept = look("select attempt, error_class, job_type from ops.message_failures order by 1")
    assert [(k["attempt"], k["error_class"], k["job_type"]) for k in kept] == [
        (1, "TimeoutError", "toy.single"),
        (2, "TimeoutError", "toy.single"),
    ]


def test_the_answer_comes_first_and_all_else_afterwards(database: str) -> None:
    """Measuring and publishing delay no message; failures are logged at once."""
    order: list[str] = []
    later: list[Any] = []

    async def wait_until(work: Any) -> None:
        later.append(work)

    async def publish(_: Queue, ports: Ports) -> None:
        order.append("published")

    outside = world(database)
    worker = replace(toy(), after_batch=publish)
    ports = replace(outside.ports(), wait_until=wait_until)
    deliveries = [*singles(1), FakeDelivery({"type": "toy.nobody"}, id="nobody")]
    asyncio.run(consume(batch(*deliveries), worker, ports))
    assert [delivery.answer for delivery in deliveries] == ["ack"] * 2
    assert [one["status"] for one in outside.named("queue.metric")] == ["dead"]
    assert order == []
    [work] = later
    asyncio.run(work)
    assert [one["status"] for one in outside.named("queue.metric")] == ["dead", "ack"]
    assert len(outside.points) == 2
    assert order == ["published"]


def test_a_long_batch_is_reported_message_by_message(database: str) -> None:
    reported: list[int] = []

    async def handler(message: Single, ports: Ports) -> Outcome:
        reported.append(len(outside.named("queue.metric")))
        return Done()

    outside = world(database)
    deliver(outside, toy(single=handler), *singles(3))
    assert reported == [0, 1, 2]


# The environment fails


def test_without_postgres_everything_is_retried(database: str) -> None:
    async def handler(message: Single, ports: Ports) -> Outcome:
        ports.db.rows("select 1")
        return Done()

    outside = world(None)
    deliveries = [*singles(2), FakeDelivery(hour_message(), id="hour")]
    assert deliver(outside, toy(single=handler), *deliveries) == ["retry"] * 3
    assert outside.connects == 1
    assert outside.dlq.sent == []
    assert {one["error_class"] for one in outside.named("queue.metric")} == {"DatabaseUnreachable"}


def test_without_postgres_wrong_messages_still_die(database: str) -> None:
    outside = world(None)
    assert deliver(outside, toy(), FakeDelivery({"type": "toy.nobody"})) == ["ack"]
    assert len(outside.dlq.sent) == 1


def test_a_dead_letter_queue_that_takes_nothing_costs_no_message(database: str) -> None:
    outside = world(database)
    outside.dlq.broken = OSError("no")
    assert deliver(outside, toy(), FakeDelivery({"type": "toy.nobody"})) == ["retry"]
    assert deliver(outside, toy(), FakeDelivery({"type": "toy.nobody"}, attempts=4)) == ["retry"]
    assert outside.named("dead_letter.send_failed")


def test_an_analytics_engine_that_takes_nothing_costs_no_message(database: str) -> None:
    outside = world(database)
    ports = outside.ports()
    object.__setattr__(ports, "write_point", raising_function)
    deliveries = singles(3)
    asyncio.run(consume(batch(*deliveries), toy(), ports))
    assert [delivery.answer for delivery in deliveries] == ["ack"] * 3


def raising_function(*_: object) -> None:
    raise OSError("no dataset")


def test_a_connection_that_breaks_in_one_message_is_new_for_the_next(database: str) -> None:
    async def handler(message: Single, ports: Ports) -> Outcome:
        ports.db.execute(NOTE, day=NOON.date() + timedelta(days=message.data["n"]))
        if message.data["n"] == 1:
            ports.db.execute("select pg_terminate_backend(pg_backend_pid())")
        return Done()

    outside = world(database)
    assert deliver(outside, toy(single=handler), *singles(4)) == ["ack", "retry", "ack", "ack"]
    assert outside.connects == 2
    assert booked(database) == 3


def test_what_follows_a_break_in_a_transaction_is_not_committed_alone(database: str) -> None:
    async def handler(message: Single, ports: Ports) -> Outcome:
        ports.db.execute(NOTE, day=NOON.date())
        # a handler must not catch this; if it does, nothing may be partly done
        with suppress(DatabaseError, DatabaseUnreachable):
            ports.db.execute("select pg_terminate_backend(pg_backend_pid())")
        ports.db.execute(NOTE, day=NOON.date() + timedelta(days=1))
        return Done()

    assert deliver(world(database), toy(single=handler), *singles(1)) == ["retry"]
    assert booked(database) == 0


def test_a_value_that_cannot_be_sent_does_not_confuse_the_connection(database: str) -> None:
    seen: list[Any] = []

    async def handler(message: Single, ports: Ports) -> Outcome:
        n = message.data["n"]
        seen.append(ports.db.rows("select cast(:n as integer) as n", n=n))
        if n == 1:
            ports.db.rows("select cast(:text as text)", text="\ud800")
        return Done()

    outside = world(database)
    assert deliver(outside, toy(single=handler), *singles(3)) == ["ack"] * 3
    assert [row["n"] for [row] in seen] == [0, 1, 2]
    assert [one["deadLetter"]["reason"] for one in outside.dlq.sent] == ["failed"]


def test_a_lost_answer_to_the_commit_of_a_window_is_found_done(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = []

    async def handler(run: Run) -> Outcome:
        count.append(1)
        run.ports.db.execute(NOTE, day=NOON.date())
        return Done()

    outside = world(database)
    ports = outside.ports()
    execute = ports.db.execute

    def losing(sql: str, **parameters: Any) -> int:
        touched = execute(sql, **parameters)
        if sql == "commit":
            raise DatabaseUnreachable("the answer was lost")
        return touched

    monkeypatch.setattr(ports.db, "execute", losing)
    [first] = [FakeDelivery(hour_message())]
    asyncio.run(consume(batch(first), toy(hourly=handler), ports))
    assert first.answer == "retry"
    assert runs(database) == {"toy.hourly 03-10T11": "succeeded"}
    again = FakeDelivery(hour_message(), attempts=2)
    assert deliver(outside, toy(hourly=handler), again) == ["ack"]
    assert (len(count), booked(database)) == (1, 1)


def test_time_that_is_used_up_retries_the_rest_unbegun(database: str) -> None:
    begun: list[int] = []

    async def handler(message: Single, ports: Ports) -> Outcome:
        begun.append(message.data["n"])
        ports.db.execute(NOTE, day=NOON.date() + timedelta(days=message.data["n"]))
        if message.data["n"] == 2:
            raise CpuLimitExceeded
        return Done()

    outside = world(database)
    answers = deliver(outside, toy(single=handler), *singles(5))
    assert answers == ["ack", "ack", "retry", "retry", "retry"]
    assert begun == [0, 1, 2]
    assert booked(database) == 2
    classes = [one.get("error_class") for one in outside.named("queue.metric")]
    assert classes == [None, None, *["CpuLimitExceeded"] * 3]


def test_time_that_is_used_up_in_a_list_retries_it_whole(database: str) -> None:
    async def handler(messages: list[Listed], ports: Ports) -> list[Outcome]:
        raise CpuLimitExceeded

    deliveries = [FakeDelivery({"type": "toy.listed"}, id=f"m{n}") for n in range(3)]
    assert deliver(world(database), toy(listed=handler), *deliveries) == ["retry"] * 3


def test_an_interrupt_from_the_keyboard_is_not_taken_for_an_error(database: str) -> None:
    [delivery] = singles(1)
    with pytest.raises(KeyboardInterrupt):
        deliver(world(database), toy(single=raising(KeyboardInterrupt())), delivery)
    assert delivery.answer is None


def test_a_batch_that_is_cancelled_ends(database: str) -> None:
    async def handler(message: Single, ports: Ports) -> Outcome:
        await asyncio.sleep(60)
        return Done()

    [delivery] = singles(1)

    async def cancelled() -> None:
        work = consume(batch(delivery), toy(single=handler), world(database).ports())
        task = asyncio.create_task(work)
        await asyncio.sleep(0.05)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert delivery.answer is None


@pytest.mark.parametrize(
    ("error", "status"), [(SystemExit(3), "dead"), (asyncio.CancelledError(), "retry")], ids=repr
)
@pytest.mark.parametrize("kind", ["toy.single", "toy.listed", "toy.hourly"])
def test_a_handler_that_exits_or_was_cancelled_fails_its_own_message(
    database: str, error: BaseException, status: str, kind: str
) -> None:
    """On the vendor's runtime SystemExit ends the isolate. Whatever a handler raises affects only
    its message: the others are done, and so is a batch job without it.
    """

    async def single(message: Single, ports: Ports) -> Outcome:
        if message.data["n"] == 1:
            raise error
        return Done()

    async def listed(messages: list[Listed], ports: Ports) -> list[Outcome]:
        return [await single(message, ports) for message in messages]  # type: ignore[arg-type]

    async def hourly(run: Run) -> Outcome:
        if run.window.end == NOON - timedelta(hours=1):
            raise error
        return Done()

    deliveries = [
        FakeDelivery(
            hour_message(NOON - timedelta(hours=n)) if kind == "toy.hourly"
            else {"type": kind, "data": {"n": n}},
            id=f"m{n}",
        )
        for n in range(4)
    ]  # fmt: skip
    outside = world(database)
    worker = toy(single=single, listed=listed, hourly=hourly)
    deliver(outside, worker, *deliveries)
    dead = [one["deadLetter"] for one in outside.dlq.sent]
    assert [(one["messageId"], one["reason"]) for one in dead] == (
        [("m1", "failed")] if status == "dead" else []
    )
    lines = {one["message_id"]: one for one in outside.named("queue.metric")}
    statuses = {name: line["status"] for name, line in lines.items()}
    assert statuses == {"m0": "ack", "m1": status, "m2": "ack", "m3": "ack"}
    assert lines["m1"]["error_class"] == type(error).__name__


UNREADABLE = [
    CpuLimitExceeded("time"), SystemExit(1), RecursionError("deep"), MemoryError(), KeyError("x"),
]  # fmt: skip


@pytest.mark.parametrize("error", UNREADABLE, ids=repr)
def test_what_is_raised_while_a_message_is_read_is_that_messages_alone(
    database: str, error: BaseException
) -> None:
    """It stays in the queue, whose last retry makes a dead letter of its unchanged body."""
    outside = world(database)
    deliveries: list[FakeDelivery] = [*singles(2), Unreadable(error, id="bad"), *singles(1)]
    assert deliver(outside, toy(), *deliveries) == ["ack", "ack", "retry", "ack"]
    last = Unreadable(error, id="bad", attempts=4)
    assert deliver(outside, toy(), last, *singles(1)) == ["retry", "ack"]
    assert outside.dlq.sent == []
    lines = [one for one in outside.named("queue.metric") if one["message_id"] == "bad"]
    assert [(one["status"], one["error_class"]) for one in lines] == [
        ("retry", type(error).__name__)
    ] * 2


def test_what_is_raised_while_a_letter_is_buried_is_that_messages_alone(database: str) -> None:
    outside = world(database)
    ports = outside.ports()
    sent: list[Any] = []

    async def send(bodies: list[Any], delay_s: int = 0) -> None:
        sent.append(bodies)
        if len(sent) == 1:
            raise CpuLimitExceeded

    object.__setattr__(ports, "dead_letters", SimpleNamespace(send=send))
    deliveries = [FakeDelivery({"type": "?"}, id=f"m{n}") for n in range(2)] + singles(1)
    asyncio.run(consume(batch(*deliveries), toy(), ports))
    assert [one.answer for one in deliveries] == ["retry", "ack", "ack"]


def test_a_duration_is_that_of_its_group_and_never_negative(database: str) -> None:
    """On the vendor's clock each reading costs a millisecond: it is read once per group, and may
    even go back.
    """
    readings: list[int] = []
    outside = world(database)
    ports = outside.ports()

    def clock() -> datetime:
        readings.append(1)
        return outside.now - timedelta(milliseconds=len(readings))

    object.__setattr__(ports, "clock", clock)
    listed = [FakeDelivery({"type": "toy.listed"}, id=f"m{n}") for n in range(99)]
    early = FakeDelivery({"type": "toy.single"}, id="early", sent_at=outside.now + timedelta(1))
    asyncio.run(consume(batch(*listed, early), toy(), ports))
    lines = outside.named("queue.metric")
    assert len(lines) == 100
    assert {line["duration_ms"] for line in lines} == {0}
    assert min(line["lag_ms"] for line in lines) == 0
    assert len(readings) <= 5  # one of the batch, two of each group


# Windows and their ledger


def test_a_window_is_run_and_recorded(database: str) -> None:
    windows: list[Any] = []

    async def handler(run: Run) -> Outcome:
        windows.append((str(run.window), run.planned))
        return Done(rows_read=5, rows_written=2)

    outside = world(database)
    delivery = FakeDelivery(hour_message(trigger="catch-up", correlationId="c1"))
    deliver(outside, toy(hourly=handler), delivery)
    assert windows == [("2026-03-10T11:00Z/2026-03-10T12:00Z", NOON)]
    with rows_of(database) as look:
        [row] = look("select * from ops.job_runs")
    assert (row["status"], row["trigger"], row["attempts"], row["fencing_token"]) == (
        "succeeded",
        "catch-up",
        1,
        1,
    )
    assert (row["rows_read"], row["rows_written"], row["lease_until"]) == (5, 2, None)
    [line] = outside.named("queue.metric")
    assert (line["correlation_id"], line["trigger"], line["rows_written"]) == ("c1", "catch-up", 2)
    assert line["lag_ms"] == 3_600_000


def test_a_message_without_a_plan_runs_the_last_complete_window(database: str) -> None:
    deliver(world(database), toy(), FakeDelivery({"type": "toy.hourly"}, sent_at=NOON))
    assert runs(database) == {"toy.hourly 03-10T11": "succeeded"}


def test_a_window_that_has_not_ended_is_not_run(database: str) -> None:
    outside = world(database, NOON - timedelta(seconds=20))
    [soon, never] = [
        FakeDelivery(hour_message(), id="soon"),
        FakeDelivery(hour_message(NOON + timedelta(days=365)), id="never"),
    ]
    assert deliver(outside, toy(), soon, never) == ["retry", "ack"]
    assert soon.delay_s == 20
    assert [one["deadLetter"]["reason"] for one in outside.dlq.sent] == ["too_early"]
    assert runs(database) == {}


def test_a_redelivered_message_whose_window_is_done_is_acked_without_work(database: str) -> None:
    count: list[int] = []

    async def handler(run: Run) -> Outcome:
        count.append(1)
        return Done()

    outside, worker = world(database), toy(hourly=handler)
    for attempts in (1, 2):
        assert deliver(outside, worker, FakeDelivery(hour_message(), attempts=attempts)) == ["ack"]
    assert len(count) == 1
    deliver(outside, worker, FakeDelivery(hour_message(), id="an operator's"))
    assert len(count) == 2


def test_what_an_operator_asks_for_while_another_runs_it_is_sent_again(database: str) -> None:
    """Sent again for the end of the lease, with its window: waiting costs no delivery."""
    outside = world(database)
    body = {"type": "toy.hourly", "correlationId": "mine"}
    inner = FakeDelivery(body, id="second", attempts=4, sent_at=NOON)

    async def handler(run: Run) -> Outcome:
        await consume(batch(inner), toy(), outside.ports())
        return Done()

    assert deliver(outside, toy(hourly=handler), FakeDelivery(hour_message())) == ["ack"]
    assert inner.answer == "ack"
    assert outside.queue.delays_s == [LEASE.total_seconds() + 1]
    assert outside.queue.sent == [body | {"trigger": "manual", "scheduledFor": NOON.isoformat()}]


@pytest.mark.parametrize("trigger", ["cron", "catch-up"])
def test_what_a_tick_sends_while_another_runs_it_is_left_to_the_ledger(
    database: str, trigger: str
) -> None:
    outside = world(database)
    inner = FakeDelivery(hour_message(trigger=trigger), id="second")

    async def handler(run: Run) -> Outcome:
        await consume(batch(inner), toy(), outside.ports())
        return Done()

    assert deliver(outside, toy(hourly=handler), FakeDelivery(hour_message())) == ["ack"]
    assert (inner.answer, outside.queue.sent) == ("ack", [])


@pytest.mark.parametrize(("trigger", "count"), [("cron", 1), ("catch-up", 1), ("backfill", 2)])
def test_a_window_that_is_done_is_run_again_for_an_operator_alone(
    database: str, trigger: str, count: int
) -> None:
    seen = []

    async def handler(run: Run) -> Outcome:
        seen.append(1)
        return Done()

    outside, worker = world(database), toy(hourly=handler)
    for name in ("first", "second"):
        body = hour_message(trigger=trigger)
        assert deliver(outside, worker, FakeDelivery(body, id=name)) == ["ack"]
    assert len(seen) == count


def test_a_copy_of_the_delivery_that_runs_does_not_run_beside_it(database: str) -> None:
    seen: list[FakeDelivery] = []

    async def handler(run: Run) -> Outcome:
        if not seen:
            seen.append(FakeDelivery(hour_message(), id="same"))
            await consume(batch(seen[0]), toy(hourly=handler), outside.ports())
        return Done(rows_written=len(seen))

    outside = world(database)
    assert deliver(outside, toy(hourly=handler), FakeDelivery(hour_message(), id="same")) == ["ack"]
    assert seen[0].answer == "ack"
    assert runs(database) == {"toy.hourly 03-10T11": "succeeded"}


def test_a_delivery_that_was_taken_over_does_not_fail_the_run_of_the_next(database: str) -> None:
    """The earlier delivery fails while the later one is running."""
    outside = world(database)

    async def earlier(run: Run) -> Outcome:
        await consume(batch(FakeDelivery(hour_message(), attempts=2)), later, outside.ports())
        raise TimeoutError("slow")

    async def at_work(run: Run) -> Outcome:
        failed = ParsedMessage(FakeDelivery(hour_message()), later.by_type["toy.hourly"], message)
        record_failure(failed, RetryIn(1, "TimeoutError", "slow"), True, run.ports)
        return Done()

    later = toy(hourly=at_work)
    message = Hourly.model_validate(hour_message())
    first = FakeDelivery(hour_message())
    assert deliver(outside, toy(hourly=earlier), first) == ["retry"]
    assert runs(database) == {"toy.hourly 03-10T11": "succeeded"}


def test_a_run_that_was_too_slow_is_rolled_back(database: str) -> None:
    """The fencing token: a newer run has begun, so the old one's rows must not be committed."""
    outside = world(database)
    newer = FakeDelivery(hour_message(), id="newer")

    async def slow(run: Run) -> Outcome:
        run.ports.db.execute(NOTE, day=NOON.date())
        outside.advance(minutes=17)
        await consume(batch(newer), toy(), outside.ports())
        return Done()

    older = FakeDelivery(hour_message(), id="older")
    assert deliver(outside, toy(hourly=slow), older) == ["retry"]
    assert newer.answer == "ack"
    assert booked(database) == 0
    assert runs(database) == {"toy.hourly 03-10T11": "succeeded"}
    assert [one.get("error_class") for one in outside.named("queue.metric")] == [None, "LeaseLost"]


def test_two_deliveries_of_one_message_do_not_end_each_other(database: str) -> None:
    outside = world(database)
    twin = FakeDelivery(hour_message(), id="same")

    async def outer(run: Run) -> Outcome:
        outside.advance(minutes=17)
        await consume(batch(twin), toy(hourly=inner), outside.ports())
        return Done()

    async def inner(run: Run) -> Outcome:
        run.ports.db.execute(NOTE, day=NOON.date())
        return Done()

    assert deliver(outside, toy(hourly=outer), FakeDelivery(hour_message(), id="same")) == ["retry"]
    assert twin.answer == "ack"
    assert (runs(database), booked(database)) == ({"toy.hourly 03-10T11": "succeeded"}, 1)


def test_a_run_whose_worker_is_gone_is_taken_over_by_the_next_delivery(database: str) -> None:
    """A deployment ends a running window: the platform delivers its message again, which does not
    wait for the lease of its own earlier delivery.
    """

    async def crash(run: Run) -> Outcome:
        raise KeyboardInterrupt

    outside = world(database)
    with pytest.raises(KeyboardInterrupt):
        deliver(outside, toy(hourly=crash), FakeDelivery(hour_message()))
    assert runs(database) == {"toy.hourly 03-10T11": "running"}
    assert deliver(outside, toy(), FakeDelivery(hour_message(), attempts=2)) == ["ack"]
    assert runs(database) == {"toy.hourly 03-10T11": "succeeded"}


@pytest.mark.parametrize(
    ("error", "attempts", "status", "lease_left"),
    [
        (TimeoutError("slow"), 1, "failed", timedelta(seconds=5) + LEASE),
        (TimeoutError("slow"), 4, "dead", LEASE),
        (KeyError("x"), 1, "dead", LEASE),
    ],
)
def test_a_failed_run_says_why(
    database: str, error: Exception, attempts: int, status: str, lease_left: timedelta
) -> None:
    async def failing(run: Run) -> Outcome:
        run.ports.db.execute(NOTE, day=NOON.date())
        raise error

    outside = world(database)
    deliver(outside, toy(hourly=failing), FakeDelivery(hour_message(), attempts=attempts))
    with rows_of(database) as look:
        [row] = look("select * from ops.job_runs")
    assert (row["status"], row["error_class"]) == (status, type(error).__name__)
    assert row["retryable"] is isinstance(error, TimeoutError)
    assert row["lease_until"] - outside.now == lease_left
    assert booked(database) == 0


def test_a_window_job_answers_with_done_or_shards(database: str) -> None:
    async def odd(run: Run) -> Outcome:
        return RetryIn(1, "Later", "later")

    outside = world(database)
    assert deliver(outside, toy(hourly=odd), FakeDelivery(hour_message())) == ["ack"]
    assert "which a window cannot end with" in outside.dlq.sent[0]["deadLetter"]["error"]


def test_the_ends_of_the_calendar_harm_nobody(database: str) -> None:
    worst = [
        hour_message(datetime.fromisoformat(f"{year}-01-01T00:00:00Z")) for year in ("0001", "9999")
    ]
    outside = world(database)
    deliveries = [FakeDelivery(body, id=str(n)) for n, body in enumerate(worst)] + singles(1)
    assert deliver(outside, toy(), *deliveries) == ["ack"] * 3
    assert [one["deadLetter"]["reason"] for one in outside.dlq.sent] == ["invalid"] * 2
