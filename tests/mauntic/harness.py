"""Call `mauntic` in this process; and a consumer of its messages."""

from __future__ import annotations

import asyncio
import io
import json
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from analytics.worker import WORKER
from mauntic.cli.main import main
from shared.flow.consume import consume
from shared.flow.dead_letters import archive
from tests.fakes import FakeBatch, FakeDelivery, World

QUEUE = WORKER.main_queue.name
DLQ = WORKER.main_queue.dead_letter_name
HOURLY = "analytics.aggregate-hourly"


@dataclass(frozen=True)
class Answer:
    """The command's output and exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Cli:
    """`mauntic …` with this environment."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._capture = capture

    def __call__(self, *arguments: object, stdin: str = "") -> Answer:
        self._capture.readouterr()
        self._patch.setattr(sys, "argv", ["mauntic", *map(str, arguments)])
        self._patch.setattr(sys, "stdin", io.StringIO(stdin))
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        text = self._capture.readouterr()
        return Answer(code, text.out, text.err)


class Consumer:
    """The analytics worker behind the vendor's queue: a thread that consumes the sent messages."""

    def __init__(self, url: str) -> None:
        self.world = World(url)
        self.bodies: list[Any] = []
        self.most_at_once = 0
        self.hold = threading.Event()
        self.hold.set()
        self._queue: queue.Queue[list[Any] | None] = queue.Queue()
        self._number = 0

    def take(self, name: str, bodies: list[Any]) -> None:
        """Called by the vendor: the answer to the sender does not wait for the work."""
        if name == QUEUE:
            self._queue.put(bodies)

    def work(self) -> None:
        while (bodies := self._queue.get()) is not None:
            self.hold.wait(20)
            self.most_at_once = max(self.most_at_once, len(bodies))
            for body in bodies:
                self.consume(body)

    def consume(self, body: Any) -> FakeDelivery:
        """Deliver once through the real consume; dead ones through the real archive."""
        self._number += 1
        self.bodies.append(body)
        self.world.now = datetime.now(UTC)
        sent = FakeDelivery(body, f"delivery-{self._number}", sent_at=self.world.now)
        asyncio.run(consume(FakeBatch(QUEUE, [sent]), WORKER, self.world.ports()))
        for number, letter in enumerate(self.world.dlq.sent):
            dead = FakeDelivery(letter, f"dead-{self._number}-{number}", sent_at=self.world.now)
            asyncio.run(archive(FakeBatch(DLQ, [dead]), WORKER, self.world.ports()))
        self.world.dlq.sent.clear()
        return sent

    def stop(self) -> None:
        self._queue.put(None)


@contextmanager
def consuming(url: str) -> Iterator[Consumer]:
    """A consumer at work, until the end of the block."""
    consumer = Consumer(url)
    thread = threading.Thread(target=consumer.work, daemon=True)
    thread.start()
    try:
        yield consumer
    finally:
        consumer.hold.set()
        consumer.stop()
        thread.join(20)
