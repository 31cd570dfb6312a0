"""The four jobs as the queue sees them: messages in, rows, answers and events out."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.database_url import connect
from scoring.domain.score import Signal, SignalConfig
from scoring.outbox import BINDING, crossings
from scoring.parts import NOBODY, Load, Part, cut, shards
from scoring.worker import WORKER
from shared.adapters.postgres import Postgres
from shared.consume import consume
from shared.errors import DatabaseUnreachable
from shared.messages import Shard
from tests.fakes import FakeBatch, FakeDelivery, QueueBinding, World
from tests.workers.scoring.stage import HOUR, NOON, Stage, org, person


@pytest.fixture
def world(stage: Stage) -> World:
    """What is around a job on the stage's database, just after noon."""
    return World(stage.url, now=NOON + timedelta(seconds=5))


def deliver(world: World, *bodies: Any) -> list[FakeDelivery]:
    """The bodies in one batch, settled."""
    sent = [
        FakeDelivery(body, id=f"{world.now}-{n}", sent_at=world.now)
        for n, body in enumerate(bodies)
    ]
    asyncio.run(consume(FakeBatch(WORKER.queue.name, sent), WORKER, world.ports()))
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


def test_the_worker_is_what_its_neighbours_know() -> None:
    assert [job.type for job in WORKER.jobs] == [
        "scoring.AlertExpiry",
        "scoring.BatchRecompute",
        "scoring.CalculateScore",
        "scoring.SignalDecay",
    ]
    assert WORKER.crons == ["*/15 * * * *", "0 * * * *"]


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
    assert stage.waiting() == []
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
        asyncio.run(consume(FakeBatch(WORKER.queue.name, bodies), WORKER, ports))
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
    events = world.producers[BINDING] = QueueBinding()
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
    events = world.producers[BINDING] = QueueBinding()
    events.broken = OSError("queue is away")
    stage.add_contact((1, 1))
    stage.add_signal((1, 1), Signal("DEMO_REQUEST", NOON))
    [delivery] = deliver(world, ask(1, 1))
    assert delivery.answer == "ack"
    assert world.named("batch.unfinished")
    events.broken = None
    deliver(world, window("AlertExpiry"))
    assert len(events.sent) == 1
    assert stage.rows("threshold_outbox") == []


def test_publishing_that_takes_long_is_left_to_the_next_batch(stage: Stage, world: World) -> None:
    """The platform would end it; what is published is published once."""

    class Slow(QueueBinding):
        async def sendBatch(self, messages: list[dict[str, Any]]) -> None:
            await super().sendBatch(messages)
            world.advance(seconds=1)  # a hundred events

    events = world.producers[BINDING] = Slow()
    stage.db.execute(
        "insert into scoring.threshold_outbox"
        " (organization_id, contact_id, score, previous_score, scored_at)"
        " select :o, gen_random_uuid(), 20, 0, :t from generate_series(1, 2500)",
        o=org(1),
        t=NOON,
    )
    deliver(world, window("AlertExpiry"))
    assert len(events.sent) == 2_000
    deliver(world, window("SignalDecay"))
    assert len({event["eventId"] for event in events.sent}) == len(events.sent) == 2_500
    assert stage.rows("threshold_outbox") == []


def test_without_a_queue_crossings_are_logged(stage: Stage, world: World) -> None:
    for contact in (1, 2):
        stage.add_contact((1, contact))
        stage.add_signal((1, contact), Signal("DEMO_REQUEST", NOON - HOUR))
    deliver(world, window("BatchRecompute"))
    [event] = world.named("score.threshold_crossed")
    assert (event["threshold"], event["direction"], event["count"]) == (20, "up", 2)


def test_alerts_open_by_tier_and_expire_at_their_deadline(stage: Stage, world: World) -> None:
    for tier, kind in (("critical", "A"), ("high", "B"), ("medium", "C"), ("low", "D")):
        stage.set_signal(1, kind, SignalConfig(), tier=tier)
        stage.add_signal((1, 1), Signal(kind, NOON - 30 * HOUR))
        stage.add_signal((1, 1), Signal(kind, NOON - 20 * HOUR))  # one is open already
    stage.set_signal(1, "E", SignalConfig(enabled=False), tier="critical")
    stage.add_signal((1, 1), Signal("E", NOON - 30 * HOUR))
    stage.db.execute(
        "update scoring.signal_alerts set status = 'acknowledged', acknowledged_at = now()"
        " where signal_type = 'B'"
    )
    deliver(world, window("AlertExpiry"))
    alerts = {row["signal_type"]: row for row in stage.rows("signal_alerts")}
    assert {kind: row["status"] for kind, row in alerts.items()} == {
        "A": "expired",
        "B": "acknowledged",
        "C": "expired",
        "D": "open",
    }
    started = NOON - 30 * HOUR
    hours = {kind: (row["deadline"] - started) / HOUR for kind, row in alerts.items()}
    assert hours == {"A": 1, "B": 4, "C": 24, "D": 72}
    assert alerts["A"]["expired_at"] == alerts["A"]["deadline"]


def test_an_alert_expires_when_its_deadline_has_come_and_opens_again(
    stage: Stage, world: World
) -> None:
    for opened_at in (NOON - HOUR, NOON - HOUR + timedelta(seconds=1)):
        stage.db.rows(
            "select scoring.open_alert(:o, gen_random_uuid(), 'X', 'critical', :at)",
            o=org(1),
            at=opened_at,
        )
    deliver(world, window("AlertExpiry"))
    assert sorted(row["status"] for row in stage.rows("signal_alerts")) == ["expired", "open"]


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


def test_messages_whose_contacts_the_platform_is_changing_give_way_each_after_its_patience(
    stage: Stage, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a batch of a hundred wait for each of them as long as a statement may take."""
    monkeypatch.setattr("scoring.store.PATIENCE", "50ms")
    monkeypatch.setattr("scoring.store.PATIENCE_ALONE", "100ms")
    for contact in (1, 2, 3):
        stage.add_contact((1, contact), email="a@b.example")
    with closing(Postgres(lambda: connect(stage.url))) as platform, platform.transaction():
        platform.execute("update crm.contacts set phone = '1' where id <> :id", id=person(3))
        answers = [one.answer for one in deliver(world, ask(1, 1), ask(1, 2), ask(1, 3))]
    assert answers == ["retry", "retry", "ack"]
    classes = [event.get("error_class") for event in world.named("queue.metric")]
    assert classes == ["DatabaseError:55P03", "DatabaseError:55P03", None]


def test_a_large_backlog_is_cut_into_shards_of_which_each_can_be_retried(
    stage: Stage, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for organization, contacts in ((1, 2), (2, 7), (3, 1)):
        for contact in range(contacts):
            stage.add_contact((organization, organization * 10 + contact), email="a@b.example")
    monkeypatch.setattr("scoring.parts.SHARD_ROWS", 3)
    deliver(world, window("BatchRecompute"))
    assert stage.rows() == []
    parts = [sent["data"]["shard"] for sent in world.queue.sent]
    assert [part["of"] for part in parts] == [5] * 5
    deliver(world, *world.queue.sent[::-1])
    deliver(world, world.queue.sent[0])  # a second delivery
    assert stage.numbers() == stage.expected_numbers(NOON)
    [run] = stage.db.rows("select status, rows_written from ops.job_runs where shard = ''")
    assert run == {"status": "succeeded", "rows_written": 10}


@pytest.mark.parametrize(
    ("kind", "counted"), [("BatchRecompute", "backlog"), ("SignalDecay", "due")]
)
def test_work_that_another_run_has_done_since_it_was_counted_is_no_split(
    stage: Stage, world: World, monkeypatch: pytest.MonkeyPatch, kind: str, counted: str
) -> None:
    monkeypatch.setattr(f"scoring.store.{counted}_rows", lambda *_: 10**6)
    [delivery] = deliver(world, window(kind))
    assert (delivery.answer, world.queue.sent) == ("ack", [])
    [run] = stage.db.rows("select status from ops.job_runs")
    assert run["status"] == "succeeded"


@given(
    counts=st.lists(st.integers(1, 25), max_size=12),
    rows_max=st.integers(1, 10),
)
def test_the_parts_hold_every_contact_once_and_the_quiet_come_first(
    counts: list[int], rows_max: int
) -> None:
    keys = [
        (org(2 * n + 1), UUID(int=k + 1)) for n, count in enumerate(counts) for k in range(count)
    ]
    loads = [Load(org(2 * n + 1), count) for n, count in enumerate(counts)]
    with patch("scoring.parts.SHARD_ROWS", rows_max):
        parts = cut(loads, lambda one: [c for o, c in keys if o == one][::rows_max])
    held = [
        [key for key in keys if part.first <= key and (part.until is None or key < part.until)]
        for part in parts
    ]
    assert sorted(key for part in held for key in part) == keys
    assert all(1 <= len(part) <= rows_max for part in held)
    noisy = [counts[(part[0][0].int - 1) // 2] > rows_max for part in held]
    assert noisy == sorted(noisy)


def test_the_last_organisation_of_all_is_cut_like_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("scoring.parts.SHARD_ROWS", 3)
    last, contacts = UUID(int=2**128 - 1), [UUID(int=n) for n in (1, 4, 7)]
    assert cut([Load(last, 7)], lambda _: contacts) == [
        Part((last, NOBODY), (last, contacts[1])),
        Part((last, contacts[1]), (last, contacts[2])),
        Part((last, contacts[2]), None),
    ]


def test_a_part_survives_its_message() -> None:
    part = Part((org(1), person(1)), (org(2), NOBODY))
    [shard] = shards([part])
    assert (
        Part.of(
            Shard.model_validate(
                Shard.model_validate(shard).model_dump(by_alias=True, exclude_none=True)
            )
        )
        == part
    )


def test_if_postgres_is_away_the_messages_are_tried_again(world: World) -> None:
    world.url = None
    [delivery] = deliver(world, ask(1, 1))
    assert delivery.answer == "retry"
    assert DatabaseUnreachable.__name__ in str(world.events)
