"""Fakes of the platform for tests. They refuse what the platform refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mauntic.project.host_crypto import HostCrypto
from shared.adapters.email import BoundEmail
from shared.adapters.http import check
from shared.adapters.postgres.client import Postgres
from shared.adapters.queue import BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, BoundQueue
from shared.body_limits import BODY_CHARS_MAX
from shared.errors import HttpFailed
from shared.ports import (
    HTTP_RESPONSE_BYTES_MAX,
    HTTP_TIMEOUT_S,
    Bucket,
    HttpMethod,
    HttpResponse,
    Ports,
)
from shared.settings import Settings
from shared.telemetry.log import FIELDS
from shared.telemetry.points import checked_point
from tests.roles import as_worker

MESSAGE_BYTES_MAX = 128_000
DELAY_MAX_S = 86_400
POINTS_MAX = 250
# https://developers.cloudflare.com/email-service/platform/limits/
EMAIL_BYTES_MAX = 5 * 1_024 * 1_024
EMAIL_SUBJECT_CHARS_MAX = 998


def json_bytes(body: Any) -> int:
    """Return its size as JavaScript writes it. Raises for text that UTF-8 cannot encode."""
    return len(json.dumps(body, allow_nan=False, ensure_ascii=False).encode())


class QueueBinding:
    """`env.QUEUE`: accepts plain JSON within the limits, and keeps it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.delays_s: list[int] = []
        self.broken: Exception | None = None
        self.measured: dict[str, Any] | None = (
            None  # result of `metrics`; None: there is no such method
        )

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
    """A message that can be settled once."""

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
            raise AssertionError(f"{self.id} was settled twice: {self.answer}, then {answer}")
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
    """Keeps the requests and answers with `status` and `body`. Refuses what the adapter refuses."""

    def __init__(self) -> None:
        self.settings = Settings(lambda name: None)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b""

    @property
    def posts(self) -> list[tuple[str, Any]]:
        """URL and JSON body of each POST."""
        return [
            (url, json.loads(body)) for method, url, _, body in self.requests if method == "POST"
        ]

    @property
    def gets(self) -> list[str]:
        """URL of each GET."""
        return [url for method, url, _, _ in self.requests if method == "GET"]

    async def request(
        self,
        method: HttpMethod,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = HTTP_TIMEOUT_S,
    ) -> HttpResponse:
        check(method, url, headers or {}, body, timeout_s, self.settings)
        self.requests.append((method, url, dict(headers or {}), body))
        try:
            async with asyncio.timeout(timeout_s):
                return await self.respond(method, url)
        except (TimeoutError, OSError) as error:
            raise HttpFailed("the connection failed, or timed out", begun=True) from error

    async def respond(self, method: str, url: str) -> HttpResponse:
        """Return the response; a subclass may wait, or raise what a network raises."""
        kept = self.body[:HTTP_RESPONSE_BYTES_MAX]
        return HttpResponse(self.status, self.headers, kept, len(kept) < len(self.body))


class EmailRejected(Exception):
    """An error of the `send_email` binding."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class EmailBinding:
    """`env.EMAIL`: keeps what is sent and rejects what the vendor's limits reject."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.broken: Exception | None = None

    async def send(self, fields: dict[str, Any]) -> str:
        if self.broken:
            raise self.broken
        for name in ("from", "to", "subject"):
            if not fields.get(name):
                raise EmailRejected("E_FIELD_MISSING", f"{name} is missing")
        if not (fields.get("html") or fields.get("text")):
            raise EmailRejected("E_VALIDATION_ERROR", "html or text is missing")
        subject = fields["subject"]
        if len(subject) > EMAIL_SUBJECT_CHARS_MAX or not subject.isprintable():
            raise EmailRejected("E_VALIDATION_ERROR", "the subject is invalid")
        self._check_headers(fields.get("headers", {}))
        if json_bytes(fields) > EMAIL_BYTES_MAX:
            raise EmailRejected("E_CONTENT_TOO_LARGE", "the message is too large")
        self.sent.append(json.loads(json.dumps(fields)))
        return f"email-{len(self.sent)}"

    def _check_headers(self, headers: dict[str, str]) -> None:
        if len([name for name in headers if not name.upper().startswith("X-")]) > 20:
            raise EmailRejected("E_HEADERS_TOO_MANY", "too many headers")
        for name, value in headers.items():
            if name.lower() in ("from", "to", "subject", "reply-to", "cc", "bcc"):
                raise EmailRejected("E_HEADER_USE_API_FIELD", f"{name} has a field of its own")
            if not name.isascii() or not 0 < len(name) <= 100 or ":" in name:
                raise EmailRejected("E_HEADER_NAME_INVALID", "a header's name is invalid")
            if not value or not value.isprintable():
                raise EmailRejected("E_HEADER_VALUE_INVALID", f"{name} is invalid")
            if len(value.encode()) > 2_048:
                raise EmailRejected("E_HEADER_VALUE_TOO_LONG", f"{name} is too long")
        if sum(len(n) + len(v.encode()) for n, v in headers.items()) > 16_384:
            raise EmailRejected("E_HEADERS_TOO_LARGE", "the headers are too large")


@dataclass
class World:
    """Everything outside a job. A test reads it, and makes it fail."""

    url: str | None
    now: datetime = datetime(2026, 3, 10, 11, 0, 5, tzinfo=UTC)
    queue: QueueBinding = field(default_factory=QueueBinding)
    dlq: QueueBinding = field(default_factory=QueueBinding)
    http: FakeHttp = field(default_factory=FakeHttp)
    email: EmailBinding = field(default_factory=EmailBinding)
    secrets: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    points: list[dict[str, Any]] = field(default_factory=list)
    buckets: dict[str, Bucket] = field(default_factory=dict)
    producers: dict[str, QueueBinding] = field(default_factory=dict)
    connects: int = 0
    connect: Callable[[str], Any] = as_worker
    random: float = 0.5

    def ports(self) -> Ports:
        """Return the ports of a new invocation."""
        limit = len(self.points) + POINTS_MAX

        def write_point(index: str, blobs: list[str], doubles: list[float]) -> None:
            assert len(self.points) < limit, "an invocation writes at most 250 points"
            self.points.append(checked_point(index, blobs, doubles))

        def producer(binding: str) -> BoundQueue | None:
            return BoundQueue(self.producers[binding]) if binding in self.producers else None

        def database() -> Postgres:
            return Postgres(self._connect)

        settings = Settings(self.secrets.get)
        self.http.settings = settings
        return Ports(
            db=database(),
            queue=BoundQueue(self.queue),
            dead_letters=BoundQueue(self.dlq),
            http=self.http,
            settings=settings,
            clock=lambda: self.now,
            random=lambda: self.random,
            log=self._log,
            write_point=write_point,
            bucket=self.buckets.__getitem__,
            producer=producer,
            crypto=HostCrypto(),
            email=BoundEmail(self.email.send),
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
        """Return the events of that name so far."""
        return [entry for entry in self.events if entry["event"] == event]

    def advance(self, **time: float) -> None:
        """Move the clock forward."""
        self.now += timedelta(**time)
