"""The platform's edge for tests, refusing what the platform refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.adapters.postgres.client import Postgres
from shared.adapters.queue import BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, BoundQueue
from shared.body_limits import BODY_CHARS_MAX
from shared.ports import Bucket, Ports
from shared.settings import Settings
from shared.telemetry.log import FIELDS
from shared.telemetry.points import checked_point
from tests.roles import as_worker

MESSAGE_BYTES_MAX = 128_000
DELAY_MAX_S = 86_400
POINTS_MAX = 250


def json_bytes(body: Any) -> int:
    """Its size as JavaScript writes it; what UTF-8 cannot spell is refused."""
    return len(json.dumps(body, allow_nan=False, ensure_ascii=False).encode())


class QueueBinding:
    """`env.QUEUE`: takes plain JSON within the limits, and keeps it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.delays_s: list[int] = []
        self.broken: Exception | None = None
        self.measured: dict[str, Any] | None = None  # what `metrics` answers; None: it has none

    async def metrics(self) -> dict[str, Any]:
        if self.measured is None:
            raise AttributeError("metrics")
        return self.measured

    async def sendBatch(self, messages: list[dict[str, Any]]) -> None:
        if self.broken:
            raise self.broken
        sizes = [json_bytes(m["body"]) for m in messages]
        if len(messages) > BATCH_MESSAGES_MAX or sum(sizes) > BATCH_BYTES_MAX:
            raise ValueError("a batch is at most 100 messages and 256 KB")
        if any(size > MESSAGE_BYTES_MAX for size in sizes):
            raise ValueError("a message is at most 128 KB")
        for message in messages:
            if not 0 <= message.get("delaySeconds", 0) <= DELAY_MAX_S:
                raise ValueError("a delay is at most 24 hours")
            self.sent.append(json.loads(json.dumps(message["body"])))
            self.delays_s.append(message.get("delaySeconds", 0))


@dataclass
class FakeDelivery:
    """A message that can be answered once."""

    body: object
    id: str = "message-1"
    attempts: int = 1
    sent_at: datetime = datetime(2026, 3, 10, 11, 0, 5, tzinfo=UTC)
    answer: str | None = None
    delay_s: int | None = None

    def beginning(self) -> str:
        try:
            return json.dumps(self.body)[:BODY_CHARS_MAX]
        except (RecursionError, TypeError):
            return str(type(self.body))

    def ack(self) -> None:
        self._settle("ack")

    def retry(self, delay_s: int) -> None:
        if not 0 <= delay_s <= DELAY_MAX_S:
            raise ValueError("a delay is at most 24 hours")
        self._settle("retry")
        self.delay_s = delay_s

    def _settle(self, answer: str) -> None:
        if self.answer is not None:
            raise AssertionError(f"{self.id} was answered twice: {self.answer}, then {answer}")
        self.answer = answer


@dataclass
class FakeBatch:
    """A batch of one queue."""

    queue: str
    deliveries: Sequence[FakeDelivery]

    def __iter__(self) -> Iterator[FakeDelivery]:
        if len(self.deliveries) > 100:
            raise AssertionError("a batch is at most 100 messages")
        return iter(self.deliveries)


class FakeHttp:
    """Keeps what was posted and asked for; answers `status`."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.gets: list[str] = []
        self.status = 200

    async def post_json(self, url: str, payload: dict[str, Any]) -> int:
        json.dumps(payload)
        self.posts.append((url, payload))
        return self.status

    async def get(self, url: str) -> int:
        self.gets.append(url)
        return self.status


@dataclass
class World:
    """Everything outside a job, to look at and to break."""

    url: str | None
    now: datetime = datetime(2026, 3, 10, 11, 0, 5, tzinfo=UTC)
    queue: QueueBinding = field(default_factory=QueueBinding)
    dlq: QueueBinding = field(default_factory=QueueBinding)
    http: FakeHttp = field(default_factory=FakeHttp)
    secrets: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    points: list[dict[str, Any]] = field(default_factory=list)
    buckets: dict[str, Bucket] = field(default_factory=dict)
    producers: dict[str, QueueBinding] = field(default_factory=dict)
    connects: int = 0
    connect: Callable[[str], Any] = as_worker
    random: float = 0.5

    def ports(self) -> Ports:
        """The ports of one invocation; every call gives a new one."""
        limit = len(self.points) + POINTS_MAX

        def write_point(index: str, blobs: list[str], doubles: list[float]) -> None:
            assert len(self.points) < limit, "an invocation writes at most 250 points"
            self.points.append(checked_point(index, blobs, doubles))

        def producer(binding: str) -> BoundQueue | None:
            return BoundQueue(self.producers[binding]) if binding in self.producers else None

        def database() -> Postgres:
            return Postgres(self._connect)

        return Ports(
            db=database(),
            queue=BoundQueue(self.queue),
            dead_letters=BoundQueue(self.dlq),
            http=self.http,
            settings=Settings(self.secrets.get),
            clock=lambda: self.now,
            random=lambda: self.random,
            log=self._log,
            write_point=write_point,
            bucket=self.buckets.__getitem__,
            producer=producer,
            connect=database,
        )

    def _connect(self) -> Any:
        self.connects += 1
        if self.url is None:
            raise OSError("connection refused")
        return self.connect(self.url)

    def _log(self, event: str, *, level: str = "info", **fields: Any) -> None:
        assert fields.keys() <= FIELDS, f"{event} logs fields that are not on the list"
        self.events.append({"event": event, "level": level, **fields})

    def named(self, event: str) -> list[dict[str, Any]]:
        """The events of that name so far."""
        return [one for one in self.events if one["event"] == event]

    def advance(self, **time: float) -> None:
        """Let time pass."""
        self.now += timedelta(**time)
