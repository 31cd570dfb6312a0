"""Deliveries: e-mails a second through one queue, with a provider that answers after 50 ms.

The references are the targets: the time in which the messages have to be sent.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.measure import ROUNDS, Result, stopwatch
from bench.world import SQL, World
from delivery.store import feeder
from delivery.worker import WORKER
from mauntic.database.url import connect
from mauntic.demo.loopback.accounts import Accounts, encrypted, new_accounts
from mauntic.demo.loopback.server import Loopback, serving
from mauntic.local.control_client import LocalRuntime
from shared.adapters.postgres.client import Postgres

DELAY_S = 0.05
KEY = "0f" * 32
SEND_ROUNDS = 3
TIMEOUT_S, POLL_S = 900, 0.05
BULK_A_SECOND, SINGLE_A_SECOND, FEED_MS = 500, 15, 50  # the targets
BULK, SINGLE, WAITING = 5_000, 300, 1_000


@dataclass(frozen=True)
class Round:
    """One measurement: the duration, and what it was spent on."""

    duration_ms: float
    calls: int
    postgres_ms: float

    @property
    def shares(self) -> str:
        provider_ms = self.calls * DELAY_S * 1_000
        return (
            f"{self.calls} calls; the provider's answers {provider_ms / self.duration_ms:.2f},"
            f" Postgres {self.postgres_ms / self.duration_ms:.2f} of the time, of all consumers"
        )


@dataclass
class Sender:
    """The worker, live, over one database, with imitated providers."""

    url: str
    accounts: Accounts
    loopback: Loopback
    runtime: LocalRuntime
    sweeps: int = 0

    def send(self, provider: str, messages: int, organizations: int) -> Round:
        """Enqueue messages and send them all; each must be taken once."""
        self.loopback.taken.clear()
        self.loopback.calls.clear()
        with closing(connect(self.url)) as db:
            _fill(db, self.accounts, provider, messages, organizations)
            before_ms = _active_ms(db)
            duration_ms = stopwatch(lambda: self._until_sent(db, messages))
            taken = self.loopback.times_taken(provider).values()
            if len(taken) != messages or set(taken) != {1}:
                raise RuntimeError(f"{messages} messages: {len(taken)} were taken")
            calls = self.loopback.calls[provider]
            return Round(duration_ms, calls, _active_ms(db) - before_ms)

    def _until_sent(self, db: Any, messages: int) -> None:
        self.sweeps += 1
        planned = datetime(2026, 3, 1, tzinfo=UTC) + self.sweeps * timedelta(minutes=5)
        body = {"type": "delivery.sweep", "scheduledFor": planned.isoformat()}
        self.runtime.control.send(WORKER.main_queue.name, [body])
        deadline = time.monotonic() + TIMEOUT_S
        while (found := db.run(SQL["sent_emails"])[0]) != [messages, 0]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"sent, not sent: {found}")
            time.sleep(POLL_S)


def run(world: World) -> list[Result]:
    """Send in bulk, for one organization and for twenty in turn; one message a call; and feed."""
    url = world.database("deliver", [])
    with _sender(url) as sender:
        sender.send("postmark", world.events(BULK) // 10, 1)  # warm-up
        results = [
            _rated(sender, "postmark", world.events(BULK), 1, BULK_A_SECOND),
            _rated(sender, "postmark", world.events(BULK), 20, BULK_A_SECOND),
            _rated(sender, "mailgun", world.events(SINGLE), 1, SINGLE_A_SECOND),
        ]
        accounts = sender.accounts
    return [*results, _feeder(url, accounts, world.events(WAITING))]


def _rated(
    sender: Sender, provider: str, messages: int, organizations: int, target: float
) -> Result:
    rounds = [sender.send(provider, messages, organizations) for _ in range(SEND_ROUNDS)]
    middle = sorted(rounds, key=lambda own: own.duration_ms)[len(rounds) // 2]
    a_second = messages * 1_000 / middle.duration_ms
    return Result(
        f"{messages:,} e-mails, {provider}, {organizations} organizations",
        [own.duration_ms for own in rounds],
        [messages * 1_000 / target],
        at_most=1.0,
        note=f"{a_second:,.0f} a second; {middle.shares}",
    )


def _feeder(url: str, accounts: Accounts, organizations: int) -> Result:
    """Feed while many organizations wait, each with twenty messages."""
    with closing(connect(url)) as db, closing(Postgres(lambda: connect(url))) as ours:
        _fill(db, accounts, "postmark", 20 * organizations, organizations)
        measured: list[float] = []
        for _ in range(ROUNDS + 1):
            db.run("update delivery.messages set state = 'pending', queued_until = null")
            db.run("vacuum (analyze) delivery.messages")
            started = time.perf_counter()
            fed = len(feeder.feed(ours, "email", datetime.now(UTC) + timedelta(seconds=60)))
            measured.append((time.perf_counter() - started) * 1_000)
            if fed != min(feeder.MOST, 20 * organizations):
                raise RuntimeError(f"the feeder fed {fed}")
    median = statistics.median(measured[1:])
    return Result(
        f"feeder, {organizations:,} organizations waiting",
        measured[1:],
        [FEED_MS],
        at_most=1.0,
        note=f"{feeder.MOST:,} references of {20 * organizations:,} messages; {median:.0f} ms",
    )


def _fill(db: Any, accounts: Accounts, provider: str, messages: int, organizations: int) -> None:
    config = json.dumps(encrypted(accounts.secrets[provider], KEY))
    db.run(SQL["forget_emails"])
    weight = 100 // organizations if organizations < 100 else 1
    db.run(
        SQL["fill_senders"],
        organizations=organizations, weight=weight, provider=provider, config=config,
    )  # fmt: skip
    db.run(SQL["fill_emails"], organizations=organizations, messages=messages)
    for table in ("delivery.messages", "crm.contacts"):
        db.run(f"vacuum (analyze) {table}")


def _active_ms(db: Any) -> float:
    [[active_ms]] = db.run(SQL["active_ms"])
    return float(active_ms)


@contextmanager
def _sender(url: str) -> Iterator[Sender]:
    accounts = new_accounts()
    with (
        serving(Loopback(accounts.providers(), delay_s=DELAY_S)) as loopback,
        LocalRuntime(
            url,
            envs=[WORKER.env],
            variables={
                "DELIVERY_MODE": "live",
                "PROVIDER_KEY": KEY,
                "HOOKS_BASE_URL": "https://hooks.example",
                "UNSUBSCRIBE_KEYS": "of the benchmark",
            },
            connected_hosts=loopback.hosts,
        ) as runtime,
    ):
        yield Sender(url, accounts, loopback, runtime)
