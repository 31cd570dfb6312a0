"""The four jobs from the queue's view: messages in, rows, answers and events out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest

from scoring.outbox import CROSSINGS, crossings
from scoring.reference.score import Signal
from scoring.worker import WORKER
from shared.errors import DatabaseUnreachable
from shared.flow.consume import consume
from shared.tick.dispatch import dispatch
from tests.fakes import FakeBatch, FakeDelivery, QueueBinding, World
from tests.workers.scoring.stage import HOUR, NOON, Stage, locked, org, person


@pytest.fixture
def world(stage: Stage) -> World:
    """A job's environment on the stage's database, just after noon."""
    return World(stage.url, now=NOON + timedelta(seconds=5))


def deliver(world: World, *bodies: Any) -> list[FakeDelivery]:
    """Deliver the bodies in one batch."""
    sent = [
        FakeDelivery(body, id=f"{world.now}-{n}", sent_at=world.now)
        for n, body in enumerate(bodies)
    ]
    asyncio.run(consume(FakeBatch(WORKER.main_queue.name, sent), WORKER, world.ports()))
    assert all(one.answer for one in sent)
    return sent


def ask(organization: int, contact: int, **context: float) -> dict[str, Any]:
    data: dict[str, Any] = {
        "organizationId": str(org(organization)),
        "contactId": str(person(contact)),
    }
    return {
        "type": "scoring.CalculateScore",
        "data": data | ({"context": context} if context else {}),
    }


def window(kind: str) -> dict[str, Any]:
    return {"type": f"scoring.{kind}", "scheduledFor": NOON.isoformat()}


def test_the_worker_is_what_its_neighbors_know() -> None:
    assert [job.type for job in WORKER.jobs] == [
        "scoring.AlertExpiry",
        "scoring.BatchRecompute",
        "scoring.CalculateScore",
        "scoring.SignalDecay",
        "scoring.fold-changes",
        "scoring.publish-crossings",
    ]
    assert WORKER.crons == ["* * * * *", "*/15 * * * *", "0 * * * *"]


def test_calculate_score_takes_a_batch_and_tells_who_is_unknown(stage: Stage, world: World) -> None:
    stage.add_contact((1, 1), email="a@b.example")
    stage.add_contact((2, 2), phone="+49")
    deliver(
        world,
        ask(1, 1),
        ask(2, 2),
        ask(1, 1),
        ask(2, 1),
        ask(1, 9),
        {"type": "scoring.CalculateScore"},
    )
    assert stage.numbers() == stage.expected_numbers(NOON)
    assert stage.entries() == []
    letters = [sent["deadLetter"] for sent in world.dlq.sent]
    assert sorted(letter["reason"] for letter in letters) == [
        "invalid",
        "unknown_contact",
        "unknown_contact",
    ]


def test_a_batch_costs_two_statements_whatever_its_size(
    stage: Stage, world: World, monkeypatch: Any
) -> None:
    for contact in range(60):
        stage.add_contact((1, contact))
    counts = []
    for size in (1, 60):
        ports = world.ports()
        seen: list[str] = []
        rows = ports.db.rows
        monkeypatch.setattr(
            ports.db,
            "rows",
            lambda sql, rows=rows, seen=seen, **k: (seen.append(sql), rows(sql, **k))[1],
        )
        bodies = [FakeDelivery(ask(1, n), id=str(n)) for n in range(size)]
        asyncio.run(consume(FakeBatch(WORKER.main_queue.name, bodies), WORKER, ports))
        counts.append(len(seen))
    assert counts == [3, 3]  # with the one that looks for crossings to publish
    assert len(stage.rows()) == 60


@pytest.mark.parametrize(
    "context", [{"intent": "9"}, {"intent": True}, {"mood": 3}, {"intent": 1e9}]
)
def test_a_context_that_is_none_is_refused(stage: Stage, world: World, context: Any) -> None:
    stage.add_contact((1, 1))
    deliver(world, ask(1, 1, **context))
    assert [sent["deadLetter"]["reason"] for sent in world.dlq.sent] == ["invalid"]
    assert stage.rows() == []


def test_a_context_is_honoured_and_of_two_the_last(stage: Stage, world: World) -> None:
    stage.add_contact((1, 1), email="a@b.example")
    deliver(world, ask(1, 1, intent=12), ask(1, 1, demographic=20.5, intent=30))
    row = stage.row((1, 1))
    assert (row["fit_score"], row["engagement_score"], row["intent_score"]) == (21, 0, 30)


def test_a_redelivered_crossing_is_published_once(stage: Stage, world: World) -> None:
    events = world.producers[CROSSINGS.binding] = QueueBinding()
    stage.add_contact((1, 1), email="a@b.example")
    stage.add_signal((1, 1), Signal("DEMO_REQUEST", NOON))
    deliver(world, ask(1, 1))
    deliver(world, ask(1, 1))
    deliver(world, window("BatchRecompute"), window("SignalDecay"))
    assert [(e["data"]["threshold"], e["data"]["direction"]) for e in events.sent] == [
        (20, "up"),
        (40, "up"),
    ]
    assert events.sent[0] == {
        "type": "scoring.ScoreThresholdCrossed",
        "eventId": events.sent[0]["eventId"],
        "occurredAt": "2026-03-10T12:00:05+00:00",
        "data": {
            "organizationId": str(org(1)),
            "contactId": str(person(1)),
            "score": 40,
            "previousScore": 0,
            "threshold": 20,
            "direction": "up",
        },
    }
    assert len({event["eventId"] for event in events.sent}) == 2


def test_crossings_by_hand() -> None:
    def between(previous: int, score: int) -> list[tuple[int, str]]:
        row = {
            "event_id": "e",
            "organization_id": org(1),
            "contact_id": person(1),
            "score": score,
            "previous_score": previous,
            "scored_at": NOON,
        }
        return [(one.threshold, one.direction) for one in crossings(row)]

    assert between(0, 40) == [(20, "up"), (40, "up")]
    assert between(85, 40) == [(80, "down"), (60, "down")]
    assert between(19, 20) == [(20, "up")]
    assert between(20, 39) == []


def test_an_event_that_could_not_be_sent_is_sent_after_the_next_batch(
    stage: Stage, world: World
) -> None:
    events = world.producers[CROSSINGS.binding] = QueueBinding()
    events.broken = OSError("queue is away")
    stage.add_contact((1, 1))
    stage.add_signal((1, 1), Signal("DEMO_REQUEST", NOON))
    [delivery] = deliver(world, ask(1, 1))
    assert delivery.answer == "ack"
    assert world.named("batch.after_hook_failed")
    events.broken = None
    deliver(world, window("AlertExpiry"))
    assert len(events.sent) == 1
    assert stage.rows("threshold_outbox") == []


def leave_crossings(stage: Stage, count: int) -> None:
    stage.db.execute(
        "insert into scoring.threshold_outbox"
        " (organization_id, contact_id, score, previous_score, scored_at)"
        " select :o, gen_random_uuid(), 20, 0, :t from generate_series(1, :count)",
        o=org(1),
        t=NOON,
        count=count,
    )


def test_publishing_that_takes_long_goes_on_as_a_message_of_its_own(
    stage: Stage, world: World
) -> None:
    """The platform would end it. Each event is published once, and waits for no other batch."""

    class Slow(QueueBinding):
        async def sendBatch(self, messages: list[dict[str, Any]]) -> None:
            await super().sendBatch(messages)
            world.advance(seconds=1)  # a hundred events

    events = world.producers[CROSSINGS.binding] = Slow()
    leave_crossings(stage, 4_500)
    deliver(world, window("AlertExpiry"))
    sent = [len(events.sent)]
    while world.queue.sent:
        [body] = world.queue.sent
        world.queue.sent.clear()
        deliver(world, body)
        sent.append(len(events.sent))
    assert sent == [2_000, 4_000, 4_500]
    assert len({event["eventId"] for event in events.sent}) == 4_500
    assert stage.rows("threshold_outbox") == []


def test_crossings_without_a_queue_are_counted_to_the_last(
    stage: Stage, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.outbox.COUNTED_ROWS_MAX", 100)
    leave_crossings(stage, 250)
    deliver(world, window("AlertExpiry"))
    counts = [event["count"] for event in world.named("score.threshold_crossed")]
    assert (counts, stage.rows("threshold_outbox")) == ([100, 100, 50], [])


@pytest.mark.parametrize("is_bound", [True, False])
def test_publishing_passes_over_what_another_publisher_holds(
    stage: Stage, world: World, is_bound: bool
) -> None:
    events = QueueBinding()
    if is_bound:
        world.producers[CROSSINGS.binding] = events
    leave_crossings(stage, 3)
    with locked(stage, "select from scoring.threshold_outbox order by id limit 1 for update"):
        deliver(world, window("AlertExpiry"))
        assert len(stage.rows("threshold_outbox")) == 1
    assert not world.named("batch.after_hook_failed")
    assert len(events.sent) == (2 if is_bound else 0)


def test_without_a_queue_crossings_are_logged(stage: Stage, world: World) -> None:
    for contact in (1, 2):
        stage.add_contact((1, contact))
        stage.add_signal((1, contact), Signal("DEMO_REQUEST", NOON - HOUR))
    deliver(world, window("BatchRecompute"))
    [event] = world.named("score.threshold_crossed")
    assert (event["threshold"], event["direction"], event["count"]) == (20, "up", 2)


def test_the_sweep_reads_its_partial_index(stage: Stage) -> None:
    stage.db.execute(
        "insert into scoring.signal_alerts (organization_id, contact_id, signal_type, priority,"
        " created_at, status, acknowledged_at)"
        " select gen_random_uuid(), gen_random_uuid(), 'X', 'low', :at, 'acknowledged', now()"
        " from generate_series(1, 5000)",
        at=NOON - 100 * HOUR,
    )
    stage.db.execute("analyze scoring.signal_alerts")
    plan = stage.db.rows(
        "explain select id from scoring.signal_alerts"
        " where status = 'open' and deadline <= :t order by deadline",
        t=NOON,
    )
    assert any("signal_alerts_due" in row["QUERY PLAN"] for row in plan)


def test_a_large_backlog_is_cut_into_shards_of_which_each_can_be_retried(
    stage: Stage, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for organization, contacts in ((1, 2), (2, 7), (3, 1)):
        for contact in range(contacts):
            stage.add_contact((organization, organization * 10 + contact), email="a@b.example")
    monkeypatch.setattr("scoring.store.statements.SHARD_ROWS", 3)
    deliver(world, window("BatchRecompute"))
    assert stage.rows() == []
    parts = [sent["data"]["shard"] for sent in world.queue.sent]
    assert [part["of"] for part in parts] == [5] * 5
    deliver(world, *world.queue.sent[::-1])
    deliver(world, world.queue.sent[0])  # a second delivery
    assert stage.numbers() == stage.expected_numbers(NOON)
    [run] = stage.db.rows("select status, rows_written from ops.job_runs where shard = ''")
    assert run == {"status": "succeeded", "rows_written": 10}


def test_the_expiry_skips_an_alert_that_is_being_acknowledged(stage: Stage, world: World) -> None:
    """One open transaction of the platform delays the expiry of no other alert."""
    stage.db.execute(
        "insert into scoring.signal_alerts (organization_id, contact_id, signal_type, priority,"
        " created_at)"
        " select :o, gen_random_uuid(), 'X', 'critical', :at from generate_series(1, 3)",
        o=org(1),
        at=NOON - 2 * HOUR,
    )
    with locked(stage, "select from scoring.signal_alerts limit 1 for update"):
        [delivery] = deliver(world, window("AlertExpiry"))
    assert delivery.answer == "ack"
    assert sorted(row["status"] for row in stage.rows("signal_alerts")) == [
        "expired",
        "expired",
        "open",
    ]


@pytest.mark.parametrize(
    ("kind", "counted"), [("BatchRecompute", "backlog"), ("SignalDecay", "due")]
)
def test_work_that_another_run_has_done_since_it_was_counted_is_no_split(
    stage: Stage, world: World, monkeypatch: pytest.MonkeyPatch, kind: str, counted: str
) -> None:
    monkeypatch.setattr(f"scoring.store.statements.{counted}_rows", lambda *_: 10**6)
    [delivery] = deliver(world, window(kind))
    assert (delivery.answer, world.queue.sent) == ("ack", [])
    [run] = stage.db.rows("select status from ops.job_runs")
    assert run["status"] == "succeeded"


def test_if_postgres_is_away_the_messages_are_tried_again(world: World) -> None:
    world.url = None
    [delivery] = deliver(world, ask(1, 1))
    assert delivery.answer == "retry"
    assert DatabaseUnreachable.__name__ in str(world.events)


def tick(world: World, at: datetime) -> tuple[int, list[str]]:
    """Run a tick of the minute's cron; return the numbers of messages and statements."""
    ports, seen = world.ports(), list[str]()

    def noted(run: Callable[..., Any]) -> Callable[..., Any]:
        def run_and_note(sql: str, **parameters: Any) -> Any:
            seen.append(sql)
            return run(sql, **parameters)

        return run_and_note

    world.now = at
    with (
        patch.object(ports.db, "rows", noted(ports.db.rows)),
        patch.object(ports.db, "execute", noted(ports.db.execute)),
    ):
        return asyncio.run(dispatch(WORKER, "* * * * *", at, ports)), seen


def test_an_empty_feed_costs_a_tick_one_statement(stage: Stage, world: World) -> None:
    for minute, statements in ((1, 1), (60, 2)):  # once an hour: runs that are left
        count, seen = tick(world, NOON + timedelta(minutes=minute))
        assert (count, len(seen), world.queue.sent) == (0, statements, [])
    assert stage.db.rows("select * from ops.job_runs") == []


def test_a_change_is_folded_within_the_minute(stage: Stage, world: World) -> None:
    stage.add_contact((1, 1))
    count, _ = tick(world, NOON)
    [body] = world.queue.sent
    assert (count, body["type"]) == (1, "scoring.fold-changes")
    deliver(world, body)
    assert stage.entries() == [(1, 1)]
    assert tick(world, NOON + timedelta(minutes=1))[0] == 0
    [run] = stage.db.rows("select job_type, status, rows_read, rows_written from ops.job_runs")
    assert tuple(run.values()) == ("scoring.fold-changes", "succeeded", 1, 1)


def test_the_ledger_keeps_folds_for_a_day(stage: Stage, world: World) -> None:
    for moment in (NOON, NOON + 26 * HOUR):
        stage.add_contact((1, moment.day * 100 + moment.hour))
        tick(world, moment)
        deliver(world, *world.queue.sent)
        world.queue.sent.clear()
    [run] = stage.db.rows("select window_end from ops.job_runs")
    assert run["window_end"] == NOON + 26 * HOUR


def test_a_fold_that_leaves_rows_says_how_many_and_since_when(
    stage: Stage, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scoring.store.fold.CHANGES_MAX", 2)
    for contact in range(5):
        stage.add_contact((1, contact))
    stage.db.execute("update crm.contact_changes set at = :at", at=world.now - timedelta(minutes=9))
    body = {"type": "scoring.fold-changes"}
    deliver(world, body)
    world.advance(seconds=60)
    deliver(world, body)
    world.advance(seconds=60)
    deliver(world, body)
    reported = [(event["count"], event["age_s"]) for event in world.named("feed.waiting")]
    assert reported == [(3, 540), (1, 600)]
    points = [point for point in world.points if point["blobs"][0] == "feed.depth"]
    assert points == [
        {"indexes": ["scoring"], "blobs": ["feed.depth", "scoring"], "doubles": [count, age_s]}
        for count, age_s in [(3, 540), (1, 600), (0, 0)]
    ]


def test_batch_recompute_sees_what_was_committed_before_it(stage: Stage, world: World) -> None:
    stage.add_contact((1, 1), email="a@b.example")
    deliver(world, window("BatchRecompute"))
    assert stage.numbers() == stage.expected_numbers(NOON)
    assert stage.entries() == []


HOLDS = {
    "entry": "select from scoring.recompute_backlog where contact_id = :c for update",
    "score": "select from scoring.lead_scores where contact_id = :c for update",
    "new entry": "insert into scoring.recompute_backlog (organization_id, contact_id, reason)"
    " select organization_id, id, 'test' from crm.contacts where id = :c",
}


@pytest.mark.parametrize("held", HOLDS)
def test_a_message_for_a_locked_contact_is_neither_lost_nor_in_the_way(
    stage: Stage, world: World, held: str
) -> None:
    """Its neighbors are scored; it is scored by the next BatchRecompute."""
    for contact in (1, 2, 3):
        stage.add_contact((1, contact), email="a@b.example")
    deliver(world, *(ask(1, contact) for contact in (1, 2, 3)))
    stage.db.execute("update crm.contacts set phone = '1'")
    if held == "entry":
        stage.fold()
    else:
        stage.db.execute("truncate crm.contact_changes")
    with locked(stage, HOLDS[held], c=person(2)):
        answers = [one.answer for one in deliver(world, *(ask(1, n) for n in (1, 2, 3)))]
        assert answers == ["ack"] * 3
        assert {key[1]: row[0] for key, row in stage.numbers().items()} == {1: 25, 2: 10, 3: 25}
    assert world.queue.sent == []
    assert [event["count"] for event in world.named("score.postponed")] == [1]
    deliver(world, window("BatchRecompute"))
    assert stage.row((1, 2))["total_score"] == 25


@pytest.mark.parametrize("held", HOLDS)
def test_a_context_of_a_locked_contact_outlasts_the_lock(
    stage: Stage, world: World, held: str
) -> None:
    """However long it is locked, the message uses up no delivery."""
    for contact in (1, 2):
        stage.add_contact((1, contact), email="a@b.example")
    deliver(world, ask(1, 1), ask(1, 2))
    stage.db.execute("truncate crm.contact_changes")
    if held == "entry":
        stage.db.execute("update crm.contacts set phone = '1'")
        stage.fold()
    bodies = [ask(1, 1, intent=33), ask(1, 2, intent=44)]
    with locked(stage, HOLDS[held], c=person(2)):
        for _ in range(10):
            assert {one.answer for one in deliver(world, *bodies)} == {"ack"}
            bodies = list(world.queue.sent)
            assert [body["data"]["contactId"] for body in bodies] == [str(person(2))]
            assert world.queue.delays_s == [60]
            world.queue.sent.clear()
            world.queue.delays_s.clear()
            world.advance(seconds=60)
    deliver(world, *bodies)
    assert (stage.row((1, 1))["intent_score"], stage.row((1, 2))["intent_score"]) == (33, 44)
    assert world.dlq.sent == []
