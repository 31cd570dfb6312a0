"""CalculateScore: messages a second through the runtime's queue, and the parts of a batch's
time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from statistics import mean
from typing import Any

from bench.dispatch import Counted
from bench.measure import Result, stopwatch
from bench.profiled import Parts, profiled
from bench.world import SQL, Jobs, World, jobs
from mauntic.database.url import connect
from scoring.jobs.calculate_score import CalculateScore
from scoring.store import statements
from scoring.worker import WORKER
from shared.adapters.postgres.client import Postgres
from shared.flow.consume import consume
from shared.ledger.shards import Key
from shared.messages import Message
from shared.ports import Ports
from tests import fakes

MESSAGES = 10_000
BATCH = 100
ROUNDS = 5


def run(world: World) -> list[Result]:
    """Score other contacts in every round, for the first time, including the warm-up round."""
    url = world.people()
    with closing(connect(url)) as db:
        db.run("truncate scoring.lead_scores, scoring.score_history, scoring.recompute_backlog")
        drawn = [_messages(db, world.events(MESSAGES), number) for number in range(2 * ROUNDS + 3)]
    own, loops, last = drawn[: ROUNDS + 1], drawn[ROUNDS + 1 : -1], drawn[-1]
    with jobs(url, WORKER) as worker:
        pairs = [
            (_loop_ms(url, looped), _first_to_last_ms(worker, messages))
            for looped, messages in zip(loops, own, strict=True)
        ][1:]
    reference, measured = [loop for loop, _ in pairs], [ours for _, ours in pairs]
    parts = _where_it_goes(url, last)
    notes = (
        f"{_rates(measured, len(last))}; the loop {_rates(reference, len(last))}",
        _statements(url, last),
        _parts_note(parts),
    )
    return [Result(f"{len(last):,} messages", measured, reference, note="\n".join(notes))]


def _loop_ms(url: str, messages: Sequence[CalculateScore]) -> float:
    """Time the reference: the same statements in a loop, a hundred contacts per transaction."""
    keys = [message.data.key for message in messages]
    with closing(Postgres(lambda: connect(url))) as db:
        db.open()
        return stopwatch(lambda: _loop(db, keys))


def _loop(db: Postgres, keys: Sequence[Key]) -> None:
    for first in range(0, len(keys), BATCH):
        with db.transaction():
            requested = statements.request_contacts(db, keys[first : first + BATCH])
            statements.score_contacts(db, requested.versions, {}, datetime.now(UTC))


def _messages(db: Any, size: int, number: int) -> list[CalculateScore]:
    found = db.run(SQL["some_contacts"], count=size, skip=size * number)
    return [
        CalculateScore.model_validate(
            {"data": {"organizationId": organization_id, "contactId": contact_id}}
        )
        for organization_id, contact_id, *_ in found
    ]


def _first_to_last_ms(worker: Jobs, messages: Sequence[Message]) -> float:
    """Return the time from the first delivery, when all messages wait in the queue, to the last
    row.
    """
    queue = f"/queues/{worker.queue}"
    worker.control.ask("POST", f"{queue}/pause")
    worker.control.send(worker.queue, [message.body() for message in messages])
    since = datetime.now(UTC)
    worker.control.ask("POST", f"{queue}/resume")
    points = worker.points_since(since)
    if len(points) != len(messages):
        raise RuntimeError(f"{len(messages)} messages gave {len(points)} points")
    last: float = max(point["at"] for point in points)
    return last - since.timestamp() * 1_000


def _rates(measured_ms: Sequence[float], messages: int) -> str:
    rates = sorted(messages * 1_000 / ms for ms in measured_ms)
    return f"{rates[len(rates) // 2]:,.0f} a second ({rates[0]:,.0f} to {rates[-1]:,.0f})"


def _where_it_goes(url: str, messages: Sequence[Message]) -> Parts:
    """Return the milliseconds per batch of each part, from a separate run, because timers take time
    too.
    """
    taken: list[Parts] = []
    with profiled(url, WORKER, taken.append) as runtime:
        worker = Jobs(runtime.control, url, WORKER)
        with closing(worker.db):
            whole_ms = _first_to_last_ms(worker, messages)
    warm = taken[1:] or taken
    parts = {name: mean(batch.get(name, 0) for batch in warm) for name in warm[0]}
    return parts | {"outside the worker": whole_ms * BATCH / len(messages) - parts["all"]}


def _parts_note(parts: Parts) -> str:
    shown = {name: ms for name, ms in parts.items() if name != "all"}
    waited_for = sum(ms for name, ms in shown.items() if not name.startswith("afterwards"))
    shown["the rest"] = parts["all"] + parts["outside the worker"] - waited_for
    ordered = sorted(shown.items(), key=lambda part: -part[1])
    return "ms a batch: " + ", ".join(f"{name} {ms:.1f}" for name, ms in ordered)


def _statements(url: str, messages: Sequence[Message]) -> str:
    """Count the statements of a batch with one message and of one with a hundred."""
    counts = [_statement_count(url, messages[:size]) for size in (1, BATCH)]
    return f"{counts[1]} statements per batch of {BATCH}, {counts[0]} per batch of 1"


def _statement_count(url: str, messages: Sequence[Message]) -> int:
    world = fakes.World(url, now=datetime.now(UTC), connect=connect)
    counted = Counted(lambda: connect(url))
    ports: Ports = replace(world.ports(), db=counted)
    numbers = count()
    deliveries = [fakes.FakeDelivery(message.body(), id=str(next(numbers))) for message in messages]
    asyncio.run(consume(fakes.FakeBatch(WORKER.main_queue.name, deliveries), WORKER, ports))
    return counted.statements
