"""A worker with two queues: each message is answered by the rules of the queue it arrives in."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import pytest

from shared import Message, MessageJob, Ports, Queue, RetryIn, Schedule, WindowJob, Worker
from shared.errors import QueueUnavailable
from shared.flow.consume import consume
from shared.flow.dead_letters import archive
from shared.ports import Backlog
from shared.tick.backlog import backlog_of
from shared.tick.dispatch import dispatch
from shared.windows import hour_before
from tests.fakes import FakeBatch, FakeDelivery, QueueBinding, World
from tests.shared.toy import NOON, Hourly, Single, done, rows_of, world

SLOW = Queue("toy-jobs", "TOY", max_retries=3)
FAST = Queue("toy-fast", "FAST", max_retries=1, connections=1)
HOURLY = Schedule("0 * * * *", hour_before, timedelta(minutes=30))


class Quick(Message):
    type: Literal["toy.quick"] = "toy.quick"


class Either(Message):
    type: Literal["toy.either"] = "toy.either"


def worker(quick: Any = done, after_batch: Any = None, hourly_queues: Any = ()) -> Worker:
    return Worker(
        "toy",
        "toy",
        [SLOW, FAST],
        "ENABLE_TOY_CRON",
        [
            MessageJob(Single, done),
            MessageJob(Quick, quick, queues=("toy-fast",)),
            MessageJob(Either, quick, queues=("toy-fast", "toy-jobs")),
            WindowJob(Hourly, done, HOURLY, queues=hourly_queues),
        ],
        after_batch,
    )


def deliver(
    outside: World, queue: str, *bodies: Any, of: Worker | None = None, attempts: int = 1
) -> list[FakeDelivery]:
    deliveries = [FakeDelivery(b, id=f"m{n}", attempts=attempts) for n, b in enumerate(bodies)]
    handle = archive if queue.endswith("-dlq") else consume
    asyncio.run(handle(FakeBatch(queue, deliveries), of or worker(), outside.ports()))
    return deliveries


def test_a_message_in_the_wrong_queue_is_a_dead_letter_that_names_the_right_one(
    database: str,
) -> None:
    outside = world(database)
    bodies: list[Any] = [{"type": name} for name in ("toy.single", "toy.quick", "toy.either")]
    assert [d.answer for d in deliver(outside, "toy-fast", *bodies)] == ["ack"] * 3
    [letter] = outside.dlq.sent
    assert letter["deadLetter"]["queue"] == "toy-fast"
    assert letter["deadLetter"]["reason"] == "wrong_queue"
    expected = "WrongQueue: toy.single belongs in toy-jobs, not in toy-fast"
    assert letter["deadLetter"]["error"] == expected

    outside.dlq.sent.clear()
    deliver(outside, "toy-jobs", *bodies)
    [letter] = outside.dlq.sent
    assert (letter["deadLetter"]["jobType"], letter["deadLetter"]["reason"]) == (
        "toy.quick",
        "wrong_queue",
    )


@pytest.mark.parametrize(("queue", "deliveries"), [("toy-jobs", 4), ("toy-fast", 2)])
def test_a_message_is_given_up_after_the_retries_of_its_queue(
    database: str, queue: str, deliveries: int
) -> None:
    async def never(message: Either, ports: Ports) -> RetryIn:
        return RetryIn(5, "Later", "not yet")

    outside = world(database)
    answers = [
        deliver(outside, queue, {"type": "toy.either"}, of=worker(never), attempts=n)[0].answer
        for n in range(1, deliveries + 1)
    ]
    assert answers == ["retry"] * (deliveries - 1) + ["ack"]
    [letter] = outside.dlq.sent
    assert letter["deadLetter"]["reason"] == "exhausted"
    assert {line["queue"] for line in outside.named("queue.metric")} == {queue}


def test_dead_letters_are_archived_under_the_queue_that_they_came_from(database: str) -> None:
    outside = world(database)
    deliver(outside, "toy-fast", {"type": "toy.single"})
    raw = {"type": "toy.quick"}  # the platform gave it up
    deliver(outside, "toy-fast-dlq", *outside.dlq.sent, raw)
    forged = {"deadLetter": outside.dlq.sent[0]["deadLetter"] | {"queue": "toy-jobs"}}
    deliver(outside, "toy-fast-dlq", forged)
    with rows_of(database) as look:
        rows = look("select queue, reason, attempts from ops.dead_letters order by id")
    assert [tuple(row.values()) for row in rows] == [
        ("toy-fast", "wrong_queue", 1),
        ("toy-fast", "exhausted", 2),
        ("toy-fast", "unknown_type", 2),  # an envelope of another queue is a body like any other
    ]


def test_the_work_after_a_batch_receives_the_queue_of_the_batch(database: str) -> None:
    seen: list[str] = []

    async def after(queue: Queue, ports: Ports) -> None:
        seen.append(queue.name)

    of = worker(after_batch=after)
    for queue in ("toy-fast", "toy-jobs"):
        deliver(world(database), queue, {"type": "toy.either"}, of=of)
    assert seen == ["toy-fast", "toy-jobs"]


def test_a_tick_sends_to_the_queue_of_each_job(database: str) -> None:
    outside = world(database)
    outside.producers["FAST"] = QueueBinding()
    of = worker(hourly_queues=("toy-fast",))
    assert asyncio.run(dispatch(of, HOURLY.cron, NOON, outside.ports())) == 1
    assert outside.queue.sent == []
    assert [body["type"] for body in outside.producers["FAST"].sent] == ["toy.hourly"]
    [sent] = outside.producers["FAST"].sent
    assert [d.answer for d in deliver(outside, "toy-fast", sent, of=of)] == ["ack"]
    with rows_of(database) as look:
        assert look("select status from ops.job_runs") == [{"status": "succeeded"}]


EARLY, LATE = NOON - timedelta(hours=2), NOON - timedelta(hours=1)


def reporting(backlog: Backlog | None) -> QueueBinding:
    """A queue that reports its backlog as the platform's does; None reports nothing."""
    queue = QueueBinding()
    if backlog is not None:
        oldest = backlog.oldest_at.timestamp() * 1_000 if backlog.oldest_at else 0
        queue.measured = {
            "backlogCount": backlog.count,
            "backlogBytes": backlog.bytes,
            "oldestMessageTimestamp": int(oldest),
        }
    return queue


@pytest.mark.parametrize(
    ("slow", "fast", "expected"),
    [
        (Backlog(0, 0, None), Backlog(0, 0, None), Backlog(0, 0, None)),
        (Backlog(3, 30, LATE), Backlog(2, 20, EARLY), Backlog(5, 50, EARLY)),
        (Backlog(0, 0, None), Backlog(2, 20, LATE), Backlog(2, 20, LATE)),
        (Backlog(3, 30, EARLY), None, None),  # what is in it is unknown
    ],
)
def test_the_oldest_message_of_all_queues_decides_what_is_known_to_be_gone(
    slow: Backlog | None, fast: Backlog | None, expected: Backlog | None
) -> None:
    outside = World(None, now=NOON)
    outside.queue, outside.producers["FAST"] = reporting(slow), reporting(fast)
    jobs = [WindowJob(Hourly, done, HOURLY, queues=(queue.name,)) for queue in (SLOW, FAST)]
    assert asyncio.run(backlog_of(jobs, worker(), outside.ports())) == expected


def test_only_the_queues_of_the_jobs_are_asked(database: str) -> None:
    outside = World(None, now=NOON)
    outside.queue, outside.producers["FAST"] = reporting(None), reporting(Backlog(1, 10, LATE))
    jobs = [WindowJob(Hourly, done, HOURLY, queues=("toy-fast",))]
    assert asyncio.run(backlog_of(jobs, worker(), outside.ports())) == Backlog(1, 10, LATE)


def test_a_tick_without_the_binding_of_a_queue_fails_and_its_window_stays_due(
    database: str,
) -> None:
    outside = world(database)
    of = worker(hourly_queues=("toy-fast",))
    with pytest.raises(QueueUnavailable, match="no binding FAST for toy-fast"):
        asyncio.run(dispatch(of, HOURLY.cron, NOON, outside.ports()))
    outside.producers["FAST"] = QueueBinding()
    assert asyncio.run(dispatch(of, HOURLY.cron, NOON, outside.ports())) == 1


@pytest.mark.parametrize(
    ("queues", "jobs", "words"),
    [
        ([], [], "toy needs a queue"),
        ([SLOW, replace(FAST, name="toy-jobs")], [], "two queues of toy"),
        ([SLOW, replace(FAST, binding="TOY")], [], "two queues of toy"),
        (
            [SLOW],
            [MessageJob(Quick, done, queues=("toy-fast",))],
            "toy.quick names the queue toy-fast",
        ),
    ],
)
def test_a_declaration_whose_messages_could_not_arrive_is_refused(
    queues: list[Queue], jobs: list[Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Worker("toy", "toy", queues, "ENABLE_TOY_CRON", jobs)


@pytest.mark.parametrize("connections", [0, 7])
def test_a_consumer_holds_one_to_six_connections(connections: int) -> None:
    with pytest.raises(ValueError, match="may hold 1 to 6 connections"):
        Queue("toy-jobs", "TOY", 3, connections=connections)
