"""A simulated fortnight: the real dispatch, consume, ledger and jobs on a real Postgres."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from random import Random
from typing import Any
from unittest.mock import patch

from cronsim import CronSim

from analytics.worker import WORKER as ANALYTICS
from mauntic.database.url import connect
from scoring import outbox
from scoring.store import statements as scores
from scoring.worker import WORKER as SCORING
from shared.adapters.postgres.client import Postgres
from shared.adapters.queue import BoundQueue
from shared.errors import QueueUnavailable
from shared.flow import dead_letters
from shared.flow.consume import consume
from shared.jobs import Worker
from shared.ledger import shards as planner
from shared.ports import Ports
from shared.settings import Settings
from shared.telemetry.log import FIELDS
from shared.telemetry.points import checked_point
from shared.tick.dispatch import dispatch
from tests.roles import ROLES, as_worker
from tests.sim import notary, people, probe
from tests.sim.broker import Broker, DeliveredBatch, Message
from tests.sim.delays import draw_pauses, draw_slowdowns
from tests.sim.faults import (
    CpuLimitExceeded,
    Died,
    Faults,
    FaultyBinding,
    FaultyBucket,
    FaultyConnection,
    Invocation,
    MeasuredQueue,
    Pool,
    draw_outages,
)
from tests.sim.history import ORGANIZATIONS, History
from tests.sim.lanes import run_with_lanes
from tests.sim.people import Ask
from tests.sim.world import World

MIDDLE = datetime(2026, 3, 1, tzinfo=UTC)  # every simulation contains the end of a month
DAYS = 14
HEALING = timedelta(hours=14)  # dead letters wait up to 12 h after an outage of Postgres
EVENTS_A_SHARD = CONTACTS_A_SHARD = 3

# The probe's rows are in a separate schema.
RIGHTS = (
    f"; grant usage on schema sim to {ROLES.workers};"
    f" grant all on all tables in schema sim to {ROLES.workers}"
)

NEVER, TWICE = 0.06, 0.06  # share of the ticks
# A tick of every minute usually finds nothing: a fifth of them shows as much, faster.
MINUTELY, NEVER_MINUTELY = "* * * * *", 0.8
JITTER_S = 60

WORKERS: tuple[Worker, ...] = (replace(ANALYTICS, jobs=(*ANALYTICS.jobs, probe.JOB)), SCORING)


@dataclass
class Simulation:
    """A simulation that its seed determines. `run` ends after the faults have ceased and the system
    has recovered.
    """

    seed: int
    url: str
    days: int = DAYS
    workers: Sequence[Worker] = WORKERS
    events: list[dict[str, Any]] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    objects: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[Ask, Message]] = field(default_factory=list)
    asked_again: list[Message] = field(default_factory=list)
    crossings: list[tuple[dict[str, Any], Invocation]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        self.now = self.start = MIDDLE - timedelta(days=self.days // 2)
        self.end = self.start + timedelta(days=self.days)
        self.history = History.draw(self.rng, self.start, self.days)
        self.changes = people.changes(self.rng, self.start, self.days)
        self.purge = people.purge(self.rng, self.start, self.days)
        self.asks = people.asks(self.rng, self.start, self.days)
        self.acknowledgements = people.acknowledgements(self.rng, self.start, self.days)
        self.world = World(lambda: self.now)
        self.faults = Faults(self.rng, draw_outages(self.rng, self.start, self.days))
        retries = {worker.main_queue.name: worker.main_queue.max_retries for worker in self.workers}
        slowdowns = draw_slowdowns(self.rng, list(retries), self.start, self.days)
        dead = {f"{name}-dlq": 100 for name in retries}
        self.broker = Broker(self.rng, retries | dead, slowdowns)
        scheduled = [job.type for worker in self.workers for job in worker.jobs if job.schedule]
        self.pauses = draw_pauses(self.rng, scheduled, self.start, self.days)
        self.pool = Pool(lambda: as_worker(self.url))
        self.own = Pool(lambda: connect(self.url))
        self.actions: list[tuple[datetime, int, Callable[[], None]]] = []
        self.order = count()
        self.is_nested = False
        self.has_lanes = self.seed % 4 == 3  # among the seeds that split their windows

    def run(self) -> Simulation:
        with self._small_shards(), self._own_connection() as db:
            self.world.db = db
            self._prepare(db)
            self._plan()
            self._go_on_until(self.end)
            self.faults.is_calm = self.broker.is_calm = True
            self._go_on_until(self.end + HEALING)
        return self

    def close(self) -> None:
        self.pool.close()
        self.own.close()

    # The plan

    def _prepare(self, db: Any) -> None:
        db.run(probe.SCHEMA + notary.SCHEMA + RIGHTS)
        for domain, status in (("verified.example", "verified"), ("pending.example", "pending")):
            db.run(
                "insert into delivery.sending_domains (organization_id, domain, status, created_at)"
                " values (:org, :domain, :status, :at)",
                org=ORGANIZATIONS[0], domain=domain, status=status, at=self.start,
            )  # fmt: skip

    def _plan(self) -> None:
        events = [people.of_event(one) for one in self.history.earlier + self.history.events]
        edits = [people.of_edit(self.history, one) for one in self.history.edits]
        for change in [*events, *edits, self.purge, *self.changes]:
            self.at(change.at, partial(self.world.change, change))
        for at in self.acknowledgements:
            self.at(at, self.world.acknowledge)
        for ask in self.asks:
            self.at(ask.at, partial(self._ask, ask))
        for at, body in self.history.letters:
            queue = self.rng.choice(self.workers).main_queue.name
            self.at(at, partial(self._send, queue, body))
        for pause in self.pauses:
            self.at(pause.start, partial(self.world.set_paused, pause.job_type, True))
            self.at(pause.end, partial(self.world.set_paused, pause.job_type, False))
        for at, key in self.history.counters:
            self.at(at, partial(self.objects.update, {key: "{}"}))
        for worker in self.workers:
            for cron in worker.crons:
                self._plan_ticks(worker, cron)

    def _plan_ticks(self, worker: Worker, cron: str) -> None:
        never = NEVER_MINUTELY if cron == MINUTELY else NEVER
        for planned in CronSim(cron, self.start):
            if planned > self.end + HEALING:
                return
            is_calm = planned >= self.end
            fires = (
                1 if is_calm else self.rng.choices([0, 1, 2], [never, 1 - never - TWICE, TWICE])[0]
            )
            for _ in range(fires):
                at = planned + timedelta(seconds=self.rng.uniform(0, JITTER_S))
                self.at(at, partial(self._tick, worker, cron, planned))

    def _send(self, queue: str, body: object) -> Message:
        return self.broker.send(queue, body, self.now)

    def _ask(self, ask: Ask) -> None:
        self.asked.append((ask, self._send(SCORING.main_queue.name, ask.body())))

    def at(self, moment: datetime, action: Callable[[], Any]) -> None:
        heapq.heappush(self.actions, (moment, next(self.order), action))

    # The course of time

    def _go_on_until(self, end: datetime) -> None:
        while True:
            planned = self.actions[0][0] if self.actions else end
            message = self.broker.next_at() or end
            moment = min(planned, message)
            if moment >= end:
                self.now = max(self.now, end)
                return
            self.now = max(self.now, moment)
            if planned <= message:
                heapq.heappop(self.actions)[2]()
            elif batch := self.broker.take(self.now):
                self._consume(batch)

    def _stall(self) -> None:
        """An invocation that is suspended longer than its lease, while everything else
        continues.
        """
        until = self.now + timedelta(minutes=self.rng.choice([3, 17, 70, 70]))
        # An event that waits for its locks must still be ingested in the month it belongs to.
        until = min(until, MIDDLE - timedelta(minutes=1)) if self.now < MIDDLE else until
        self.is_nested = True
        self._go_on_until(until)
        self.is_nested = False

    # The platform

    def _tick(self, worker: Worker, cron: str, planned: datetime) -> None:
        # an unavailable queue fails the tick: the platform logs it
        with self._invocation(worker) as (ports, _), suppress(QueueUnavailable):
            run(dispatch(worker, cron, planned, ports))

    def _consume(self, batch: DeliveredBatch) -> None:
        queue = batch.queue.removesuffix("-dlq")
        [worker] = [w for w in self.workers if queue in [q.name for q in w.queues]]
        handle = dead_letters.archive if batch.queue.endswith("-dlq") else consume
        with self._invocation(worker) as (ports, invocation):
            drive = run
            if self.has_lanes and not self.is_nested:
                ports, drive = replace(ports, connect=self._further(invocation)), run_with_lanes
                invocation.lanes = self.rng
            drive(handle(batch, worker, ports))
        self.broker.settle(batch, self.now, invocation.is_dead)

    @contextmanager
    def _invocation(self, worker: Worker) -> Any:
        invocation = self.faults.invocation(None if self.is_nested else self._stall)
        try:
            yield self._ports(worker, invocation), invocation
        except Died:
            pass
        except CpuLimitExceeded:  # outside of a handler: the platform delivers the batch again
            invocation.is_dead = True
        except Exception as error:  # no exception may leave the code
            self.crashes.append(f"{self.now:%m-%d %H:%M} {type(error).__name__}: {error}")
        if not self.is_nested:
            self.world.catch_up()

    def _ports(self, worker: Worker, invocation: Invocation) -> Ports:
        queue = worker.main_queue

        def take(name: str) -> BoundQueue:
            def send(body: Any, delay_s: int) -> object:
                message = self.broker.send(name, body, self.now, delay_s)
                if name == queue.name and body["type"] == "scoring.CalculateScore":
                    self.asked_again.append(message)
                return message

            return MeasuredQueue(
                FaultyBinding(send, invocation), partial(self.broker.backlog, name)
            )

        def publish(body: Any, delay_s: int) -> None:
            self.crossings.append((body, invocation))

        def producer(binding: str) -> BoundQueue | None:
            bound = binding == outbox.CROSSINGS.binding
            return BoundQueue(FaultyBinding(publish, invocation)) if bound else None

        return Ports(
            db=self._database(invocation),
            queue=take(queue.name),
            dead_letters=take(queue.dead_letter_name),
            http=None,  # type: ignore[arg-type]  # no webhook is set
            crypto=None,  # type: ignore[arg-type]  # no job uses it
            settings=Settings(lambda _: None),
            clock=lambda: self.now,
            random=self.rng.random,
            log=self._log,
            write_point=_check_point,
            bucket=lambda _: FaultyBucket(self.objects, invocation, self.rng),
            producer=producer,
        )

    def _database(self, invocation: Invocation) -> Postgres:
        def is_out() -> bool:
            return self.faults.is_out(self.now)

        return Postgres(lambda: FaultyConnection(self.pool, invocation, is_out))

    def _further(self, invocation: Invocation) -> Callable[[], Postgres]:
        """Return a connection for each further lane."""
        return lambda: self._database(invocation)

    def _log(self, event: str, *, level: str = "info", **fields: Any) -> None:
        assert fields.keys() <= FIELDS
        if level == "error" or event in ("queue.metric", "score.postponed"):
            self.events.append({"event": event, "at": self.now} | fields)

    # The simulator's own work

    @contextmanager
    def _own_connection(self) -> Any:
        db = self.own.take()
        try:
            yield db
        finally:
            self.own.idle.append(db)

    @contextmanager
    def _small_shards(self) -> Any:
        """Every second seed splits its windows, as a large platform would."""
        with ExitStack() as patches:
            if self.seed % 2:
                patches.enter_context(patch.object(planner, "SHARD_EVENTS_TARGET", EVENTS_A_SHARD))
                patches.enter_context(patch.object(scores, "SHARD_ROWS", CONTACTS_A_SHARD))
            yield


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits: nested ones need no loop of their own."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("nothing here waits for anything")


def _check_point(index: str, blobs: list[str], doubles: list[float]) -> None:
    checked_point(index, blobs, doubles)
