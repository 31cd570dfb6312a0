"""Deliveries: e-mails a second through one queue, with a provider that answers after 50 ms.

The reference is the least that sending takes: the same requests one after the other, and one plain
statement with the same rows for each. Of the feeder, the reference is an update of the same rows by
their ids. A bound is the target's share of what the reference takes on two idle cores, so it holds
or not whatever else the machine does; the note has the target itself.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import psutil

from bench.measure import ROUNDS, Result, stopwatch
from bench.world import SQL, World
from delivery.store import feeder
from delivery.worker import WORKER
from mauntic.database.url import connect
from mauntic.demo.loopback.accounts import Accounts, encrypted, new_accounts
from mauntic.demo.loopback.provider import Answer, Call, Outcome
from mauntic.demo.loopback.server import Loopback, serving
from mauntic.local.control_client import Event, LocalRuntime
from shared.adapters.postgres.client import Postgres

DELAY_S = 0.05
KEY = "0f" * 32
SEND_ROUNDS = 3
TIMEOUT_S, POLL_S = 120, 0.05
BULK_A_SECOND, SINGLE_A_SECOND, FEED_MS = 500, 15, 50  # the targets
# At the target a call has 200 ms (bulk) or 67 ms, of which the reference needs 70 and 54; a feeder
# has 50 ms, the reference 25.
BULK_AT_MOST, SINGLE_AT_MOST, FEED_AT_MOST = 2.85, 1.25, 2.0
BULK, SINGLE, WAITING, EACH = 2_000, 100, 1_000, 20


@dataclass(frozen=True)
class Round:
    """One measurement: the duration, and what it was spent on."""

    duration_ms: float
    calls: int
    postgres_ms: float
    runtime_ms: float  # of processor time: the local runtime's own, whatever else the machine does

    @property
    def shares(self) -> str:
        provider_ms = self.calls * DELAY_S * 1_000
        return (
            f"{self.calls} calls; the provider's answers {provider_ms / self.duration_ms:.2f},"
            f" Postgres {self.postgres_ms / self.duration_ms:.2f} of the time, of all consumers"
        )


@dataclass
class Recorder(Loopback):
    """Imitated providers that keep the requests, which the reference makes again."""

    requests: list[Call] = field(default_factory=list)

    def answer(self, call: Call, scripted: Outcome | None) -> tuple[Answer, Outcome]:
        self.requests.append(call)
        return super().answer(call, scripted)

    def forget(self) -> None:
        self.taken.clear()
        self.calls.clear()
        self.requests.clear()


@dataclass
class Sender:
    """The worker, live, over one database, with imitated providers."""

    url: str
    accounts: Accounts
    loopback: Recorder
    runtime: LocalRuntime
    sweeps: int = 0

    def send(self, provider: str, messages: int, organizations: int) -> Round:
        """Enqueue messages and send them all; each must be taken once."""
        self.loopback.forget()
        with closing(connect(self.url)) as db:
            _fill(db, self.accounts, provider, messages, organizations)
            before_ms, used_ms = _active_ms(db), _runtime_ms()
            duration_ms = stopwatch(lambda: self._until_sent(db, messages))
            taken = self.loopback.times_taken(provider).values()
            if len(taken) != messages or set(taken) != {1}:
                raise RuntimeError(f"{messages} messages: {len(taken)} were taken")
            calls = self.loopback.calls[provider]
            postgres_ms, runtime_ms = _active_ms(db) - before_ms, _runtime_ms() - used_ms
            return Round(duration_ms, calls, postgres_ms, runtime_ms)

    def repeat(self, provider: str, messages: int, organizations: int) -> float:
        """Make the recorded requests of `send` again, with one plain statement for each."""
        requests = list(self.loopback.requests)
        with closing(connect(self.url)) as db:
            _fill(db, self.accounts, provider, messages, organizations)
            return stopwatch(lambda: _plain(db, self.loopback.origin, requests, messages))

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
    with live_sender(url) as sender:
        sender.send("postmark", world.events(BULK) // 10, 1)  # warm-up
        results = [
            _rated(sender, "postmark", world.events(BULK), 1, BULK_A_SECOND, BULK_AT_MOST),
            _rated(sender, "postmark", world.events(BULK), 20, BULK_A_SECOND, BULK_AT_MOST),
            _rated(sender, "mailgun", world.events(SINGLE), 1, SINGLE_A_SECOND, SINGLE_AT_MOST),
        ]
        accounts = sender.accounts
    return [*results, _feeder(url, accounts, world.events(WAITING))]


def _rated(
    sender: Sender,
    provider: str,
    messages: int,
    organizations: int,
    target: float,
    at_most: float,
) -> Result:
    rounds, repeated_ms = [], []
    for _ in range(SEND_ROUNDS):
        rounds.append(sender.send(provider, messages, organizations))
        repeated_ms.append(sender.repeat(provider, messages, organizations))
    middle = sorted(rounds, key=lambda own: own.duration_ms)[len(rounds) // 2]
    a_second = messages * 1_000 / middle.duration_ms
    return Result(
        f"{messages:,} e-mails, {provider}, {organizations} organizations",
        [own.duration_ms for own in rounds],
        repeated_ms,
        at_most=at_most,
        note=f"{a_second:,.0f} a second, target {target};"
        f" {statistics.median(own.runtime_ms for own in rounds) / messages:.2f} ms of the runtime's"
        f" processor time a message; {middle.shares}",
    )


def _feeder(url: str, accounts: Accounts, organizations: int) -> Result:
    """Feed while many organizations wait, each with twenty messages."""
    messages = EACH * organizations
    measured, plain_ms = [], []
    with closing(connect(url)) as db, closing(Postgres(lambda: connect(url))) as ours:
        _fill(db, accounts, "postmark", messages, organizations)
        for _ in range(ROUNDS + 1):
            _rest(db)
            started = time.perf_counter()
            fed = feeder.feed(ours, "email", datetime.now(UTC) + timedelta(seconds=60))
            measured.append((time.perf_counter() - started) * 1_000)
            if len(fed) != min(feeder.MOST, messages):
                raise RuntimeError(f"the feeder fed {len(fed)}")
            _rest(db)
            ids = [own.message_id for own in fed]
            plain_ms.append(stopwatch(lambda ids=ids: db.run(SQL["plain_feed"], ids=ids)))  # type: ignore[misc]
    median = statistics.median(measured[1:])
    return Result(
        f"feeder, {organizations:,} organizations waiting",
        measured[1:],
        plain_ms[1:],
        at_most=FEED_AT_MOST,
        note=f"{feeder.MOST:,} references of {messages:,} messages: {median:.0f} ms,"
        f" target {FEED_MS}",
    )


def _plain(db: Any, origin: str, requests: list[Call], messages: int) -> None:
    """Make each request, then write what became of as many messages as it had."""
    each = -(-messages // len(requests))
    with closing(http.client.HTTPConnection(urlsplit(origin).netloc)) as connection:
        for call in requests:
            headers = {**call.headers, "x-forwarded-host": call.host}
            connection.request(call.method, call.path, call.body, headers)
            connection.getresponse().read()
            db.run(SQL["plain_send"], rows=each)


def _rest(db: Any) -> None:
    """Bring the messages back to where they wait, with no dead rows."""
    db.run(SQL["unfeed"])
    db.run("vacuum (analyze) delivery.messages")


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


def _runtime_ms() -> float:
    """Return the processor time of Node and workerd."""
    times = [
        process.cpu_times()
        for process in psutil.Process().children(recursive=True)
        if process.name() != "postgres"
    ]
    return float(sum(own.user + own.system for own in times)) * 1_000


@contextmanager
def live_sender(
    url: str, on_event: Callable[[Event], None] = lambda event: None
) -> Iterator[Sender]:
    """Run the worker, live, with imitated providers."""
    accounts = new_accounts()
    with (
        _recording(accounts) as loopback,
        LocalRuntime(
            url,
            envs=[WORKER.env],
            variables={
                "DELIVERY_MODE": "live",
                "PROVIDER_KEY": KEY,
                "HOOKS_BASE_URL": "https://hooks.example",
                "UNSUBSCRIBE_KEYS": "of the benchmark",
                "HOOK_KEYS": "of the benchmark",
            },
            connected_hosts=loopback.hosts,
            on_event=on_event,
        ) as runtime,
    ):
        yield Sender(url, accounts, loopback, runtime)


@contextmanager
def _recording(accounts: Accounts) -> Iterator[Recorder]:
    recorder = Recorder(accounts.providers(), delay_s=DELAY_S)
    with serving(recorder):
        yield recorder
