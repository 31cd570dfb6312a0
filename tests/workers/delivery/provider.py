"""A provider that takes messages, loses answers and refuses, as a test says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from shared.ports import HttpResponse
from tests.fakes import FakeHttp

# What the provider does with a call. lost: it has the messages, no answer comes. nothing: it has
# none, and no answer comes.
ANSWERS = ("accept", "lost", "nothing", "refuse_first", "refuse_all", "busy", "slow_down", "broken")


class Crash(BaseException):
    """The consumer is gone, with all it knew."""


@dataclass
class Received:
    """A call as the provider saw it."""

    messages: list[UUID]
    answer: str


@dataclass(eq=False)
class Postmark(FakeHttp):
    """Postmark's API. `answer` chooses what becomes of each call; `during` runs while it lasts."""

    answer: Callable[[list[UUID]], str] = lambda messages: "accept"
    during: Callable[[list[UUID]], None] = lambda messages: None
    received: list[Received] = field(default_factory=list)

    def __post_init__(self) -> None:
        FakeHttp.__init__(self)

    @property
    def accepted(self) -> list[UUID]:
        """The messages that the provider has, once for each time."""
        return [
            message
            for call in self.received
            for place, message in enumerate(call.messages)
            if call.answer in ("accept", "lost") or (call.answer == "refuse_first" and place > 0)
        ]

    async def respond(self, method: str, url: str) -> HttpResponse:
        body = json.loads(self.requests[-1][3])
        entries = body if isinstance(body, list) else [body]
        messages = [UUID(entry["Metadata"]["message_id"]) for entry in entries]
        answer = self.answer(messages)
        self.received.append(Received(messages, answer))
        self.during(messages)
        if answer == "crash":
            raise Crash
        if answer in ("lost", "nothing"):
            raise TimeoutError
        if answer == "broken":
            return HttpResponse(200, {}, b"<html>")
        statuses = {"busy": 503, "slow_down": 429, "forbidden": 401}
        if answer in statuses:
            return HttpResponse(statuses[answer], {}, b"{}")
        if answer == "refuse_all":
            return HttpResponse(422, {}, b'{"ErrorCode": 300}')
        results = [
            {"ErrorCode": 0, "MessageID": f"pm-{message}", "To": entry["To"]}
            for message, entry in zip(messages, entries, strict=True)
        ]
        if answer == "refuse_first":
            results[0] = {"ErrorCode": 300, "Message": "no", "To": entries[0]["To"]}
        found = results if isinstance(body, list) else results[0]
        return HttpResponse(200, {}, json.dumps(found).encode())
