"""mauntic-journey-queue: a tick of its cron, and the message that follows from it."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import datetime

from journeys.worker import WORKER
from mauntic.database.url import connect
from shared.flow.consume import consume
from shared.tick.dispatch import dispatch
from tests.fakes import FakeBatch, FakeDelivery, QueueBinding, World
from tests.workers.journeys.stage import Stage, org, person

PLANNED = datetime.fromisoformat("2026-03-11T12:30:00+00:00")


def test_a_tick_enqueues_the_window_and_the_consumer_runs_it(database: str) -> None:
    world = World(database, now=PLANNED)
    assert asyncio.run(dispatch(WORKER, "*/5 * * * *", PLANNED, world.ports())) == 1
    deliveries = [FakeDelivery(body, sent_at=PLANNED) for body in world.queue.sent]
    asyncio.run(consume(FakeBatch("mauntic-journey-events", deliveries), WORKER, world.ports()))
    assert [delivery.answer for delivery in deliveries] == ["ack"]
    with closing(connect(database)) as db:
        runs = db.run("select job_type, status from ops.job_runs")
    assert runs == [["journey.wake-due", "succeeded"]]


def test_a_batch_is_followed_by_the_events_of_its_executions(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey({"done": ("exit", {})}, [])
    stage.enroll(journey, 1)
    world = stage.outside
    delivery = FakeDelivery(world.queue.sent[0], sent_at=world.now)
    batch = FakeBatch("mauntic-journey-events", [delivery])
    world.producers["PLATFORM_EVENTS"] = QueueBinding()
    asyncio.run(consume(batch, WORKER, world.ports()))
    sent = world.producers["PLATFORM_EVENTS"].sent
    own = {
        "organizationId": str(org()),
        "journeyId": str(journey.id),
        "executionId": str(stage.execution(journey)["id"]),
        "contactId": str(person(1)),
    }
    assert [(event["type"], event["data"]) for event in sent] == [
        ("journey.ExecutionStarted", own),
        ("journey.ExecutionCompleted", {**own, "reason": "exit"}),
    ]
    assert len({event["eventId"] for event in sent}) == 2


def test_without_a_bound_queue_the_events_are_counted(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey({"done": ("exit", {})}, [])
    stage.enroll(journey, 1)
    world = stage.outside
    delivery = FakeDelivery(world.queue.sent[0], sent_at=world.now)
    asyncio.run(consume(FakeBatch("mauntic-journey-events", [delivery]), WORKER, world.ports()))
    assert [(event["type"], event["count"]) for event in world.named("journey.event_untold")] == [
        ("journey.ExecutionCompleted", 1), ("journey.ExecutionStarted", 1),
    ]  # fmt: skip
    assert stage.db.rows("select * from journey.outbox") == []
