"""The handler with a queue and a bucket that fail on request, called as a stranger calls it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hooks.domain.limits import Limits
from hooks.requests.routes import route
from mauntic.project.host_crypto import HostCrypto
from shared import hook_token, unsubscribe_token
from shared.adapters.queue import BoundQueue
from shared.adapters.web import respond
from shared.ports import BodyRefused, WebPorts, WebRequest, WebResponse
from shared.settings import Settings
from shared.telemetry.log import FIELDS
from shared.unsubscribe_token import UnsubscribeIds
from tests.fake_r2 import FakeR2
from tests.fakes import QueueBinding

BASE = "https://hooks.example"
CONFIG = UUID("018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c")
MESSAGE = UUID("018f3c2e-7d1a-7c55-9d0e-000000000001")
HOOK_KEY, UNSUBSCRIBE_KEY = "a hook key", "an unsubscribe key"
IDS = UnsubscribeIds(UUID(int=1), UUID(int=2), UUID(int=3))
NOW = datetime(2026, 3, 10, 11, 0, 5, tzinfo=UTC)
ONE_CLICK = b"List-Unsubscribe=One-Click"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def hook_url(provider: str = "sendgrid", config: UUID = CONFIG, more: str = "") -> str:
    token = hook_token.sign(config, [HOOK_KEY.encode()])
    return f"{BASE}/hooks/{provider}/{config}/{token}{more}"


def unsubscribe_url(ids: UnsubscribeIds = IDS) -> str:
    return f"{BASE}/u/{unsubscribe_token.sign(ids, [UNSUBSCRIBE_KEY.encode()])}"


@dataclass
class Internet:
    """Requests, and what became of them. `slow` names what never answers: body, queue, bucket."""

    now: datetime = NOW
    queue: QueueBinding | None = field(default_factory=QueueBinding)
    limits: Limits = field(default_factory=Limits)
    events: list[dict[str, Any]] = field(default_factory=list)
    bodies_read: int = 0
    random: float = 0.5
    settings: dict[str, str] = field(
        default_factory=lambda: {
            "HOOK_KEYS": f"{HOOK_KEY}, older",
            "UNSUBSCRIBE_KEYS": UNSUBSCRIBE_KEY,
        }
    )

    def __post_init__(self) -> None:
        self.bucket = FakeR2(lambda: self.now)

    @property
    def sent(self) -> list[dict[str, Any]]:
        assert self.queue is not None
        return self.queue.sent

    def request(
        self,
        method: str,
        url: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        refusal: int | None = None,
    ) -> WebResponse:
        """Return the response. `refusal` is why the body cannot be read."""

        async def read(bytes_max: int, timeout_s: float) -> bytes:
            self.bodies_read += 1
            assert timeout_s <= 30
            if refusal or len(body) > bytes_max:
                raise BodyRefused(refusal or 413)
            return body

        async def answer(asked: WebRequest, ports: WebPorts) -> WebResponse:
            return await route(asked, ports, self.limits)

        asked = WebRequest(method, url, headers or {}, read)
        return asyncio.run(respond(asked, answer, self._ports()))

    def post(self, url: str, body: bytes = b"{}", **headers: str) -> WebResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", url, body, named)

    def one_click(self, url: str | None = None) -> WebResponse:
        return self.request("POST", url or unsubscribe_url(), ONE_CLICK, FORM)

    def advance(self, **time: float) -> None:
        self.now += timedelta(**time)

    def named(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self.events if entry["event"] == event]

    def _ports(self) -> WebPorts:
        return WebPorts(
            settings=Settings(self.settings.get),
            clock=lambda: self.now,
            random=lambda: self.random,
            log=self._log,
            bucket={"INBOX_R2": self.bucket}.__getitem__,
            producer=self._producer,
            crypto=HostCrypto(),
        )

    def _producer(self, binding: str) -> BoundQueue | None:
        assert binding == "DELIVERY_FEEDBACK"
        return BoundQueue(self.queue) if self.queue else None

    def _log(self, event: str, *, level: str = "info", **fields: Any) -> None:
        assert fields.keys() <= FIELDS, f"{event} logs fields that are not on the list"
        self.events.append({"event": event, "level": level, **fields})
