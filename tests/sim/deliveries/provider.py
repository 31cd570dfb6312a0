"""The providers behind the Http port. What they accepted is the truth; their answers may not be."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from shared.adapters.http import check
from shared.errors import HttpFailed
from shared.ports import HTTP_TIMEOUT_S, HttpMethod, HttpResponse
from shared.settings import Settings
from tests.sim.deliveries.answers import ANSWERS, Entry, Form, Kept, listed, read
from tests.sim.deliveries.invocation import Invocation

# What a provider does with a request, and how often.
BEHAVIORS = {
    "answers": 60, "answers late": 6, "accepts without an answer": 5, "accepts late": 3,
    "loses it": 4, "is not reached": 4, "cuts its answer": 3, "answers twice": 2, "429": 5,
    "429 with a time": 3, "503": 6, "500 after": 2, "500 before": 2, "502 in the middle": 2,
    "401": 1, "nonsense": 1, "refuses all": 2,
}  # fmt: skip
# How a provider refuses a call as a whole.
REFUSALS = {"sendgrid": 400, "resend": 422}
Call = tuple[UUID | None, int | None]  # its id; of a repetition the moment of its check
KEY_LIFE = timedelta(hours=24)


@dataclass(frozen=True)
class Seen:
    """An entry of a request. `is_accepted`: the provider will deliver it. `provider_id`: the id in
    the answer, also of an earlier request with the same key. `checked_at` is the moment of the
    check before a repetition."""

    call_id: UUID | None
    message_id: str
    secret: str
    at: datetime
    is_accepted: bool
    provider_id: str | None
    checked_at: int | None


@dataclass
class Providers:
    """All providers, and what they have seen."""

    rng: Random
    clock: Callable[[], datetime]
    on_accepted: Callable[[Form, Entry, str], None]
    on_silent: Callable[[str], None]
    seen: list[Seen] = field(default_factory=list)
    keys: dict[str, tuple[str, HttpResponse, dict[str, str], datetime]] = field(
        default_factory=dict
    )
    wrongs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    accepted: int = 0
    is_calm: bool = False

    async def look_up(self, url: str) -> HttpResponse:
        """Answer with what was accepted, mostly."""
        await asyncio.sleep(self.rng.uniform(0.05, 1.5))
        if not self.is_calm and self.rng.random() < 0.2:
            return HttpResponse(500, {}, b"")
        return listed(url, self.kept)

    async def handle(
        self, url: str, headers: Mapping[str, str], body: bytes, call_id: Call
    ) -> HttpResponse:
        """Answer a request, or raise what the runtime raises."""
        form = read(url, headers, body)
        behavior = "answers"
        if not self.is_calm:
            behavior = self.rng.choices(list(BEHAVIORS), list(BEHAVIORS.values()))[0]
        self.requests.append(f"{self.clock():%m-%d %H:%M:%S} {behavior} {len(form.entries)}")
        if behavior == "is not reached":
            raise HttpFailed("the connection was never made", begun=False)
        await asyncio.sleep(self.rng.uniform(0.05, 1.5))
        answer = self._before(behavior, form, call_id)
        if answer is None:
            answer = self._accept(form, call_id)
        return await self._after(behavior, form, answer, call_id)

    def _before(self, behavior: str, form: Form, call_id: Call) -> HttpResponse | None:
        """What is answered, or lost, without accepting a message."""
        refusals = {"429": 429, "429 with a time": 429, "503": 503, "500 before": 500, "401": 401}
        if behavior in refusals:
            self._note(form, call_id, {}, is_accepted=False)
            headers = {"retry-after": "90"} if behavior == "429 with a time" else {}
            return HttpResponse(refusals[behavior], headers, b"{}")
        if behavior in ("loses it", "accepts late"):
            return HttpResponse(0, {}, b"")
        if behavior == "refuses all" and form.is_bulk:
            self._note(form, call_id, {}, is_accepted=False)
            return HttpResponse(REFUSALS.get(form.name, 413), {}, b"{}")
        return None

    async def _after(
        self, behavior: str, form: Form, answer: HttpResponse, call_id: Call
    ) -> HttpResponse:
        if behavior == "accepts late":
            asyncio.get_running_loop().call_later(20, self._accept, form, call_id)
        if behavior == "loses it":
            self._note(form, call_id, {}, is_accepted=False)
        if behavior in ("loses it", "accepts without an answer", "accepts late"):
            self.on_silent(form.secret)
            await asyncio.sleep(HTTP_TIMEOUT_S)
            raise HttpFailed("the connection failed, or timed out", begun=True)
        if behavior == "answers late":
            await asyncio.sleep(self.rng.uniform(3, 13))
        if behavior == "cuts its answer":
            length = self.rng.randint(0, max(len(answer.body) - 1, 0))
            is_noticed = self.rng.random() < 0.5
            return HttpResponse(answer.status, answer.headers, answer.body[:length], is_noticed)
        if behavior == "answers twice":
            return HttpResponse(answer.status, answer.headers, _twice(answer.body))
        if behavior == "500 after":
            return HttpResponse(500, {}, b"")
        if behavior == "502 in the middle":
            return HttpResponse(502, {}, b"<html>Bad gateway</html>")
        return HttpResponse(200, {}, b"<html>") if behavior == "nonsense" else answer

    def _accept(self, form: Form, call_id: Call) -> HttpResponse:
        """Take the messages that have no fault. A key repeats the answer of its first request."""
        digest = hashlib.sha256(form.body).hexdigest()
        if form.key and form.key in self.keys:
            first, answer, ids, at = self.keys[form.key]
            if first != digest:
                self.wrongs.append(f"the key of a call came again with other bytes: {call_id[0]}")
                self._note(form, call_id, {}, is_accepted=False)
                return HttpResponse(409, {}, b'{"name":"invalid_idempotent_request"}')
            if self.clock() - at < KEY_LIFE:
                self._note(form, call_id, ids, is_accepted=False)
                return answer
        ids = {}
        for entry in form.taken():
            self.accepted += not (ids and form.name == "sendgrid")  # has one id for a call
            ids[entry.message_id] = f"{form.name}-{self.accepted}"
            at = self.clock()
            self.kept.append(Kept(form.name, entry, ids[entry.message_id], at))
        answer = ANSWERS[form.name](form, ids)
        if form.key and answer.status == 200:
            self.keys[form.key] = (digest, answer, ids, self.clock())
        self._note(form, call_id, ids, is_accepted=True)
        for entry in form.entries:
            if entry.message_id in ids:
                self.on_accepted(form, entry, ids[entry.message_id])
        return answer

    def _note(
        self, form: Form, call_id: Call, ids: Mapping[str, str], *, is_accepted: bool
    ) -> None:
        for entry in form.entries:
            provider_id = ids.get(entry.message_id)
            self.seen.append(
                Seen(
                    call_id[0], entry.message_id, form.secret, self.clock(),
                    is_accepted and provider_id is not None, provider_id, call_id[1],
                )
            )  # fmt: skip


class ProviderHttp:
    """The Http port of one invocation."""

    def __init__(self, providers: Providers, invocation: Invocation, settings: Settings) -> None:
        self._providers, self._invocation, self._settings = providers, invocation, settings

    async def request(
        self,
        method: HttpMethod,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = HTTP_TIMEOUT_S,
    ) -> HttpResponse:
        check(method, url, headers or {}, body, timeout_s, self._settings)
        await self._invocation.meet()
        if method == "GET":
            return await self._providers.look_up(url)
        call = (self._invocation.call_id, self._invocation.checked_at)
        answer = await self._providers.handle(url, headers or {}, body, call)
        if self._invocation.after():
            raise HttpFailed("the connection failed, or timed out", begun=True)
        return answer


def _twice(body: bytes) -> bytes:
    """A list with each entry twice; any other answer two times in a row."""
    try:
        found = json.loads(body)
    except ValueError:
        return body + body
    if isinstance(found, list):
        return json.dumps(found + found).encode()
    if isinstance(found, dict) and isinstance(found.get("data"), list):
        return json.dumps(found | {"data": found["data"] * 2}).encode()
    return body + body
