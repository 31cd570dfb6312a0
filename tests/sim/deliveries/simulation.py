"""A simulated time of deliveries: the real jobs and a real Postgres, in simulated time.

Every invocation is a task of one loop. Its statements and calls take simulated time, in which the
others go on: so two consumers, the sweep, the platform and the providers meet at every statement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any
from unittest.mock import patch
from uuid import UUID

import greenback

import delivery.sending.batch
import delivery.sending.call
import delivery.store.campaigns
import shared.warmup.counters
from delivery.outbox import EVENTS
from delivery.queues import EMAIL, FEEDBACK, JOBS, PUSH, SMS
from delivery.worker import WORKER
from mauntic.database.url import connect
from mauntic.project.host_crypto import HostCrypto
from shared.adapters.postgres.client import Postgres
from shared.adapters.queue import BoundQueue
from shared.errors import QueueUnavailable
from shared.flow import dead_letters
from shared.flow.consume import consume
from shared.inbox import INBOX
from shared.ports import Ports
from shared.settings import Settings
from shared.telemetry.log import FIELDS
from shared.tick.dispatch import dispatch
from shared.warmup import caps
from tests.fake_r2 import FakeR2, run_virtually
from tests.roles import as_worker
from tests.sim.broker import DeliveredBatch
from tests.sim.delays import draw_slowdowns
from tests.sim.deliveries import campaigns, plan, recorder, ticks
from tests.sim.deliveries.campaigns import Campaigns
from tests.sim.deliveries.connection import Server, TimedConnection, settled
from tests.sim.deliveries.invocation import Invocation
from tests.sim.deliveries.platform import KEY, Platform
from tests.sim.deliveries.provider import ProviderHttp, Providers
from tests.sim.deliveries.queues import SharedBroker, TimedBinding
from tests.sim.deliveries.reports import Internet
from tests.sim.faults import CpuLimitExceeded, Died, Faults, Pool

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 14
QUIET = timedelta(days=5)  # a message of the last hour may wait 30 hours and then has three days
# Days of warm-up with few messages each, in slices, so that a day is used up.
FEW = ((1, 6), (3, 12), (8, 25), (30, 60))
QUEUES = {queue.binding: queue for queue in (EMAIL, SMS, PUSH, JOBS)}
SEND_CAMPAIGN = "delivery.send-campaign"
CONSUMERS_MAX = 3  # of a queue at once
SETTINGS = {
    "DELIVERY_MODE": "live",
    "PROVIDER_KEY": KEY,
    "HOOKS_BASE_URL": "https://hooks.example",
    "UNSUBSCRIBE_KEYS": "a key",
    "HOOK_KEYS": "a key",
    "HTTP_ALLOWED_HOSTS": "api.postmarkapp.com,api.resend.com,api.sendgrid.com,api.twilio.com,"
    "updates.push.services.mozilla.com",
}
SWITCHED_OFF = 0.4  # of the providers that do not answer
OUTAGES_MIN = (2, 2, 20, 70, 400)


@dataclass
class Simulation:
    """Everything that a seed decides. `run` ends when faults have ceased and all could end."""

    seed: int
    url: str
    days: int = DAYS
    crashes: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    wanted: list[plan.Wanted] = field(default_factory=list)
    bursts: list[plan.Burst] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.inbox = FakeR2(self.clock, self._r2_fault)
        self.start, self.end = START, START + timedelta(days=self.days)
        self.pool = Pool(lambda: settled(as_worker(self.url)))
        self.own = Pool(lambda: settled(connect(self.url)))
        self.faults = Faults(self.rng, _outages(self.rng, self.start, self.days))
        self.server = Server(self.clock, lambda: self.faults.is_out(self.clock()))
        retries = {queue.name: queue.max_retries for queue in WORKER.queues}
        dead = {f"{name}-dlq": 100 for name in retries}
        slowdowns = draw_slowdowns(self.rng, list(retries), self.start, self.days)
        self.broker = SharedBroker(
            self.rng, retries | dead, slowdowns,
            batch_max={queue.name: queue.batch.size for queue in WORKER.queues if queue.batch},
            loses_first=self.seed % 4 == 2, on_change=self._pump_soon,
        )  # fmt: skip
        self.internet = Internet(
            self.rng, self.clock, self._send_feedback, self.inbox, Settings(SETTINGS.get),
            self._start,
        )  # fmt: skip
        self.providers = Providers(self.rng, self.clock, self.internet.taken, self._complain)
        self.platform = Platform(self.rng, self.server, self.clock, self._as_owner, self._later)
        self.campaigns = Campaigns(
            self.rng, self.platform, campaigns.planned(self.rng, self.start, self.days),
            self._send_job,
        )  # fmt: skip
        self.published: list[dict[str, Any]] = []
        self.r2 = FakeR2(self.clock, self._r2_fault)
        self.r2_outages = _outages(self.rng, self.start, self.days)
        self.tasks: set[asyncio.Task[None]] = set()
        self.running: dict[str, int] = {}
        self.is_pumping = False

    def run(self) -> Simulation:
        with self._patched():
            run_virtually(self._run())
        return self

    def close(self) -> None:
        self.pool.close()
        self.own.close()

    def clock(self) -> datetime:
        return self.start + timedelta(seconds=self.loop.time() if self.loop else 0)

    # What is planned

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        await greenback.ensure_portal()
        prepared = self.own.take()
        prepared.run(recorder.SCHEMA)
        self.own.idle.append(prepared)
        self.platform.set_up(self.start)
        self.campaigns.set_up()
        self._plan()
        await self._until(self.end)
        self.faults.is_calm = self.broker.is_calm = self.providers.is_calm = True
        self.platform.is_calm = self.internet.is_calm = True
        await self._until(self.end + QUIET)
        while self.tasks:
            await asyncio.wait(self.tasks)

    def _plan(self) -> None:
        self.wanted = plan.wanted(self.rng, self.start, self.days)
        self.bursts = plan.bursts(self.rng, self.start, self.days)
        for own in self.wanted:
            for copy in range(own.copies):
                late = timedelta(hours=copy * self.rng.choice((0, 0.001, 0.1, 30)))
                self._at(own.at + late, partial(self._send, own))
        for burst in self.bursts:
            for late in self.rng.sample((timedelta(), timedelta(seconds=40)), 2):
                self._act_at(burst.at + late, partial(self.platform.fan_out, burst))
        for _ in range(self.days * 4):
            self._act_at(self._any_time(), self.platform.draw())
        for _ in range(self.days * 3):
            self._act_at(self._any_time(), self.platform.decide)
        self._act_at(self.end + timedelta(minutes=1), self.platform.decide)
        for campaign in self.campaigns.planned:
            for moment, action in self.campaigns.actions(campaign):
                if moment < self.end:
                    self._act_at(max(moment, self.start), action)
        for hours in (0.1, 5, 24, 48):
            moment = self.end + timedelta(hours=hours)
            self._act_at(moment, partial(self.platform.redrive, self._send_again))
        for hours in (0.2, 6):  # a run may need three days
            self._act_at(self.end + timedelta(hours=hours), self.campaigns.start_again)
        self._plan_ticks()

    def _plan_ticks(self) -> None:
        [cron] = WORKER.crons
        for at, planned in ticks.draw(self.rng, cron, self.start, self.end, QUIET):
            self._at(at, partial(self._tick_begins, cron, planned))

    def _send(self, own: plan.Wanted) -> None:
        self.broker.send(QUEUES[f"SEND_{own.channel.upper()}"].name, own.body(), self.clock())

    def _send_job(self, body: dict[str, Any]) -> None:
        self.broker.send(JOBS.name, body, self.clock())

    def _send_feedback(self, body: dict[str, Any]) -> None:
        self.broker.send(FEEDBACK.name, body, self.clock())

    def _send_again(self, queue: str, body: Any) -> None:
        self.broker.send(queue.removesuffix("-dlq"), body, self.clock())

    def _any_time(self) -> datetime:
        return self.start + timedelta(days=self.days) * self.rng.random()

    # How time passes

    async def _until(self, moment: datetime) -> None:
        await asyncio.sleep(max(0.0, (moment - self.clock()).total_seconds()))

    def _at(self, moment: datetime, action: Callable[[], object]) -> None:
        assert self.loop
        self.loop.call_at((moment - self.start).total_seconds(), action)

    def _act_at(self, moment: datetime, action: Callable[[], object]) -> None:
        self._at(moment, lambda: self._start(self._act(action)))

    def _later(self, late: timedelta, action: Callable[[], object]) -> None:
        self._act_at(self.clock() + late, action)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        assert self.loop
        task: asyncio.Task[None] = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if error := task.exception():
            self.crashes.append(f"{self.clock():%m-%d %H:%M:%S} {type(error).__name__}: {error}")

    def _pump_soon(self) -> None:
        if self.loop and not self.is_pumping:
            self.is_pumping = True
            self.loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Give to consumers what has become visible, and come again when more does."""
        self.is_pumping = False
        now = self.clock()
        busy = [name for name, count in self.running.items() if count >= CONSUMERS_MAX]
        while batch := self.broker.take_from(now, busy):
            self.running[batch.queue] = self.running.get(batch.queue, 0) + 1
            self._start(self._consume(batch))
            busy = [name for name, count in self.running.items() if count >= CONSUMERS_MAX]
        waiting = [own.visible_at for own in self.broker.waiting if own.queue not in busy]
        if waiting:
            self._at(max(min(waiting), now + timedelta(milliseconds=1)), self._pump_soon)

    # What the platform does

    async def _act(self, action: Callable[[], object]) -> None:
        await greenback.ensure_portal()
        action()

    def _complain(self, secret: str) -> None:
        """A provider that does not answer is switched off for a while, now and then."""
        if self.rng.random() < SWITCHED_OFF and "config-" in secret:
            self._later(timedelta(minutes=1), partial(self.platform.switch_off, int(secret[-1])))

    def _tick_begins(self, cron: str, planned: datetime) -> None:
        self._start(self._tick(cron, planned))

    async def _tick(self, cron: str, planned: datetime) -> None:
        await greenback.ensure_portal()
        invocation = self._invocation([])
        with suppress(Died, CpuLimitExceeded, QueueUnavailable):
            await dispatch(WORKER, cron, planned, self._ports(JOBS.name, invocation))

    async def _consume(self, batch: DeliveredBatch) -> None:
        await greenback.ensure_portal()
        invocation = self._invocation([own.message.body for own in batch])
        ports = self._ports(batch.queue.removesuffix("-dlq"), invocation)
        handle = dead_letters.archive if batch.queue.endswith("-dlq") else consume
        try:
            await handle(batch, WORKER, ports)
        except Died:
            pass
        except CpuLimitExceeded:  # outside of a handler: the platform delivers the batch again
            invocation.is_dead = True
        finally:
            self.running[batch.queue] -= 1
            self.broker.settle(batch, self.clock(), invocation.is_dead)

    def _invocation(self, bodies: list[Any]) -> Invocation:
        if self.faults.is_calm:
            return Invocation(self.rng)
        return Invocation.drawn(self.rng, partial(self._race, bodies))

    def _race(self, bodies: list[Any]) -> None:
        """The platform does something about a message of this batch."""
        ids = [own["data"]["messageId"] for own in bodies if "messageId" in own.get("data", {})]
        runs = [own["data"]["campaignId"] for own in bodies if own.get("type") == SEND_CAMPAIGN]
        if runs:
            own = UUID(self.rng.choice(runs))
            self._start(self._act(self.campaigns.against(own)))
        if not ids:
            return
        db = self._as_owner()
        rows = db.rows(
            "select organization_id, contact_id, channel, campaign_id, journey_execution_id"
            " from delivery.messages where id = cast(:id as uuid)",
            id=self.rng.choice(ids),
        )
        db.close()
        for row in rows:
            self._start(self._act(self.platform.against(row)))

    def _as_owner(self) -> Postgres:
        quick = Invocation(self.rng, is_quick=True)
        return Postgres(lambda: TimedConnection(self.own, quick, self.server))

    def _ports(self, queue_name: str, invocation: Invocation) -> Ports:
        queue = WORKER.queue_named(queue_name)

        def take(name: str) -> BoundQueue:
            def send(body: Any, delay_s: int) -> object:
                return self.broker.send(name, body, self.clock(), delay_s)

            return BoundQueue(TimedBinding(send, invocation))

        def publish(body: Any, delay_s: int) -> None:
            self.published.append(body)

        events = BoundQueue(TimedBinding(publish, invocation))
        settings = Settings(SETTINGS.get)
        return Ports(
            db=Postgres(lambda: TimedConnection(self.pool, invocation, self.server)),
            queue=take(queue.name),
            dead_letters=take(queue.dead_letter_name),
            http=ProviderHttp(self.providers, invocation, settings),
            crypto=HostCrypto(),
            settings=settings,
            clock=self.clock,
            random=self.rng.random,
            log=self._log,
            write_point=lambda *_: None,
            bucket=lambda binding: self.inbox if binding == INBOX.binding else self.r2,
            producer=lambda binding: (
                events if binding == EVENTS.binding else take(QUEUES[binding].name)
            ),
            queue_name=queue.name,
        )

    def _r2_fault(self, operation: str, key: str) -> Any:
        if self.faults.is_calm:
            return None
        if any(start <= self.clock() < end for start, end in self.r2_outages):
            return "500"
        return self.rng.choices((None, "429", "500", "lost", "late", "none"), (90, 3, 2, 2, 2, 1))[
            0
        ]

    def _log(self, event: str, *, level: str = "info", **fields: Any) -> None:
        assert fields.keys() <= FIELDS
        if level == "error":
            self.events.append({"event": event, "at": self.clock()} | fields)

    # The simulator's own affairs

    def _id(self) -> UUID:
        return UUID(int=self.rng.getrandbits(128), version=4)

    @contextmanager
    def _patched(self) -> Any:
        """Ids of the seed, and the small numbers of a small platform."""
        with ExitStack() as patches:
            for module in (delivery.sending.batch, delivery.sending.call, shared.warmup.counters):
                patches.enter_context(patch.object(module, "uuid4", self._id))
            patches.enter_context(
                patch.object(delivery.store.campaigns, "MEMBERS_MAX", campaigns.PART)
            )
            patches.enter_context(patch.object(caps, "CAPS", FEW))
            patches.enter_context(patch.object(caps, "SLICE_MIN", 3))
            yield


def _outages(rng: Random, start: datetime, days: int) -> list[tuple[datetime, datetime]]:
    """Up to one in two days, mostly short."""
    begins = [start + timedelta(days=days) * rng.random() for _ in range(rng.randint(0, days // 2))]
    return [(at, at + timedelta(minutes=rng.choice(OUTAGES_MIN))) for at in begins]
