"""What providers report about the messages that they took, and what recipients do with the link.

Each report is a webhook to the real routes of the hooks worker. It comes late, twice, in any order,
before the verdict of its call is written, without our id. Its sender repeats what was not answered
with 200.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from hooks.domain.limits import Limits
from hooks.requests.routes import route
from shared.adapters.queue import BoundQueue
from shared.hook_token import hook_url, keys_of
from shared.ports import Bucket, WebPorts, WebRequest
from shared.settings import Settings
from tests.sim.deliveries import plan
from tests.sim.deliveries.answers import Entry, Form

# What becomes of a message that a provider took, and how often.
STORIES: dict[str, tuple[tuple[str, ...], int]] = {
    "nothing is reported": ((), 12),
    "arrives": (("delivered",), 46),
    "is opened": (("delivered", "opened", "opened"), 10),
    "is clicked": (("delivered", "opened", "clicked", "clicked"), 9),
    "bounces": (("hard",), 3),
    "bounces softly": (("soft",), 4),
    "bounces after its delivery": (("delivered", "hard"), 1),
    "is given up": (("failed",), 2),
    "is complained about": (("delivered", "complained"), 2),
    "ends the provider's own list": (("delivered", "opened", "unsubscribed"), 2),
    "is used to leave": (("delivered", "opened", "leave"), 5),
    "is scanned": (("delivered", "scan"), 4),
}
LATE_S = (0.02, 0.1, 1, 20, 400, 7_000, 100_000)
BETWEEN_S = (0.05, 1, 30, 4_000, 20_000)
CALM_S = 400  # the longest of these once the faults have ended
AGAIN_S = (5, 60, 600, 3_600)
TWICE, TOGETHER, WITHOUT_ID, LARGE, FOREIGN = 0.2, 0.5, 0.1, 0.03, 0.03
NOT_REACHED = 0.05
CLOCKS_S = (0, 0, 0, 0, 0, 0, 0, 0, -700, 500)  # how wrong the clock of a provider is
KEYS = "a key"
BASE = "https://hooks.example"


@dataclass(frozen=True)
class Report:
    """An event of a provider, or of our own link. `at` is the provider's time; None if it has none.

    `names_message` says whether it carries our id. `received` are the times at which the queue took
    it. One that is `is_foreign` comes through the config of another organization.
    """

    event_id: str
    kind: str
    config: int | None
    message: str
    provider_id: str
    at: datetime | None
    names_message: bool
    is_hard: bool
    suppression: str | None
    url: str | None = None
    is_foreign: bool = False
    received: list[datetime] = field(default_factory=list)


@dataclass(frozen=True)
class Post:
    """A request to the hooks worker. `body` is signed at each attempt, `id` stays."""

    url: str
    body: bytes
    headers: Callable[[datetime], dict[str, str]]
    reports: Sequence[Report] = ()


@dataclass
class Internet:
    """Providers and recipients that call the hooks worker. `send` puts a message into its queue."""

    rng: Random
    clock: Callable[[], datetime]
    send: Callable[[Any], object]
    inbox: Bucket
    settings: Settings
    start: Callable[[Coroutine[Any, Any, None]], None]
    reports: list[Report] = field(default_factory=list)
    wrongs: list[str] = field(default_factory=list)
    is_calm: bool = False
    events: int = 0

    def __post_init__(self) -> None:
        self.limits = Limits()

    def taken(self, form: Form, entry: Entry, provider_id: str) -> None:
        """A provider took a message: decide what becomes of it, and when that is reported."""
        if form.name not in FORMATS:
            return
        names = list(STORIES)
        weights = [STORIES[name][1] for name in names]
        kinds, _ = STORIES[self.rng.choices(names, weights)[0]]
        kinds = self._possible(form, kinds)
        config, at = int(form.secret[-1]), self.clock()
        skew = timedelta(seconds=self.rng.choice(CLOCKS_S))
        posts: list[tuple[datetime, Report | str]] = []
        names_message = form.name == "twilio" or self.rng.random() > WITHOUT_ID
        for kind in kinds:
            at += self._some_time(BETWEEN_S)
            if kind in ("leave", "scan"):
                posts.append((at, kind))
                continue
            report = self._report(form, entry, provider_id, config, kind, at + skew, names_message)
            self.reports.append(report)
            posts.append((at, report))
        self._post_all(form, entry, config, posts)
        if kinds and self.rng.random() < FOREIGN:
            self._post_foreign(form, entry, config)

    def _possible(self, form: Form, kinds: tuple[str, ...]) -> tuple[str, ...]:
        if form.name == "twilio":
            return tuple(kind for kind in kinds if kind in ("delivered", "hard", "soft", "failed"))
        if form.name == "postmark":  # it reports the first one, and no failure but a bounce
            return tuple(dict.fromkeys(kind for kind in kinds if kind != "failed"))
        if form.name == "resend":
            return tuple(kind for kind in kinds if kind != "unsubscribed")
        return kinds

    def _report(
        self, form: Form, entry: Entry, provider_id: str, config: int, kind: str, at: datetime,
        names_message: bool,
    ) -> Report:  # fmt: skip
        self.events += 1
        name = FORMATS[form.name]
        is_sms = form.name == "twilio"
        suppression = {
            "hard": "invalid" if is_sms else "bounce",
            "complained": "complaint",
            "unsubscribed": "unsubscribe",
        }.get(kind)
        return Report(
            event_id=name.event_id(kind, provider_id, self.events),
            kind="bounced" if kind in ("hard", "soft") else kind,
            config=config,
            message=entry.callback.rpartition("/")[2] if is_sms else entry.message_id,
            provider_id=provider_id,
            at=None if is_sms else name.rounded(at),
            names_message=names_message,
            is_hard=kind == "hard",
            suppression=suppression,
            url=f"https://acme.example/{self.events}" if kind == "clicked" else None,
        )

    def _post_all(
        self, form: Form, entry: Entry, config: int, posts: list[tuple[datetime, Report | str]]
    ) -> None:
        url = entry.callback or self._url(form.name, config)
        reports = [own for _, own in posts if isinstance(own, Report)]
        if form.name == "sendgrid" and len(reports) > 1 and self.rng.random() < TOGETHER:
            some = reports + (reports[:1] if self.rng.random() < TWICE else [])
            self._post_later(posts[-1][0], self._webhook(form.name, config, url, some))
            reports = []
        for at, own in posts:
            if isinstance(own, Report) and own in reports:
                self._post_later(at, self._webhook(form.name, config, url, [own]))
            elif own == "leave" and entry.link:
                self._leave_later(at, entry)
            elif own == "scan" and entry.link:
                self.start(self._scan(at, f"{BASE}/u/{entry.link}"))

    def _url(self, name: str, config: int) -> str:
        return hook_url(BASE, name, plan.config(config), keys_of(KEYS))

    def _webhook(self, name: str, config: int, url: str, reports: Sequence[Report]) -> Post:
        padding = " " * 70_000 if self.rng.random() < LARGE and name != "twilio" else ""
        body = FORMATS[name].body(reports) + padding.encode()
        post_id = reports[0].event_id.partition(":")[2]
        sign = SIGNERS[name]
        return Post(url, body, lambda now: sign(config, url, body, now, post_id), reports)

    def _post_foreign(self, form: Form, entry: Entry, config: int) -> None:
        """The webhook of another organization, that names a message which is not its own."""
        name = form.name
        organization = plan.CONFIGS[config][0]
        others = [
            number
            for number, own in enumerate(plan.CONFIGS)
            if own[2] == name and own[0] != organization
        ]
        if not others or name == "twilio":
            return
        other = self.rng.choice(others)
        kind = self.rng.choice(("hard", "complained", "delivered"))
        report = self._report(
            form, entry, f"foreign-{self.events}", other, kind, self.clock(), True
        )
        report = Report(**{**report.__dict__, "is_foreign": True, "received": []})
        self.reports.append(report)
        self._post_later(self.clock(), self._webhook(name, other, self._url(name, other), [report]))

    # -- the recipient

    def _leave_later(self, at: datetime, entry: Entry) -> None:
        """A click on the link in the message; sometimes also an altered link."""
        report = Report(
            f"msg:{UUID(entry.message_id)}:unsubscribed", "unsubscribed", None, entry.message_id,
            "", None, True, False, "unsubscribe",
        )  # fmt: skip
        if not any(own.event_id == report.event_id for own in self.reports):
            self.reports.append(report)
        [known] = [own for own in self.reports if own.event_id == report.event_id]
        self._post_later(at, _click(entry.link, [known]))
        if self.rng.random() < 0.3:
            self.start(self._forge(at, entry.link))

    async def _forge(self, at: datetime, token: str) -> None:
        """A link whose first id, the organization's, was altered by who received it."""
        await self._until(at)
        content = bytearray(base64.urlsafe_b64decode(token + "=="))
        content[15] ^= 3
        forged = base64.urlsafe_b64encode(bytes(content)).decode().rstrip("=")
        post = _click(forged, [])
        status, _ = await self._request("POST", post.url, post.body, post.headers(self.clock()))
        if status != 404:
            self.wrongs.append(f"an altered link was answered with {status}")

    async def _scan(self, at: datetime, url: str) -> None:
        await self._until(at)
        status, is_taken = await self._request("GET", url, b"", {})
        if status != 200 or is_taken:
            self.wrongs.append(f"a GET of the link was answered with {status}")

    # -- requests

    def _post_later(self, at: datetime, post: Post) -> None:
        for _ in range(2 if self.rng.random() < TWICE else 1):
            late = self._some_time(LATE_S)
            self.start(self._post(max(at, self.clock()) + late, post))

    def _some_time(self, choices_s: Sequence[float]) -> timedelta:
        seconds = self.rng.choice(choices_s) * self.rng.random()
        return timedelta(seconds=min(seconds, CALM_S) if self.is_calm else seconds)

    async def _post(self, at: datetime, post: Post) -> None:
        """Send it until it is answered with 200."""
        await self._until(at)
        while True:
            now = self.clock()
            if not self.is_calm and self.rng.random() < NOT_REACHED:
                status, is_taken = 0, False
            else:
                headers = post.headers(now)
                status, is_taken = await self._request("POST", post.url, post.body, headers)
            if is_taken:
                for report in post.reports:
                    report.received.append(now)
            if status == 200:
                if not is_taken:
                    self.wrongs.append("a webhook was answered with 200, and the queue lacks it")
                return
            if status not in (0, 429, 503):
                self.wrongs.append(f"a webhook was answered with {status}")
                return
            await asyncio.sleep(self.rng.choice(AGAIN_S))

    async def _request(
        self, method: str, url: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bool]:
        """Return the status, and whether the queue took a message."""
        binding = _HookBinding(self)

        async def read(bytes_max: int, timeout_s: float) -> bytes:
            assert len(body) <= bytes_max
            return body

        ports = WebPorts(
            settings=self.settings,
            clock=self.clock,
            random=self.rng.random,
            log=lambda *_, **__: None,
            bucket=lambda _: self.inbox,
            producer=lambda _: BoundQueue(binding),
            crypto=None,  # type: ignore[arg-type]  # the routes do not use it
        )
        response = await route(WebRequest(method, url, headers, read), ports, self.limits)
        return response.status, binding.is_taken

    async def _until(self, moment: datetime) -> None:
        await asyncio.sleep(max(0.0, (moment - self.clock()).total_seconds()))


class _HookBinding:
    """The binding of the feedback queue: it refuses a message, or takes it and does not say so."""

    def __init__(self, internet: Internet) -> None:
        self._internet, self.is_taken = internet, False

    async def sendBatch(self, messages: list[dict[str, Any]]) -> None:
        own = self._internet
        trouble = None
        if not own.is_calm:
            trouble = own.rng.choices((None, "refused", "unheard"), (85, 9, 6))[0]
        if trouble != "refused":
            self.is_taken = True
            for message in messages:
                own.send(json.loads(json.dumps(message["body"])))
        if trouble:
            raise RuntimeError("Queue send failed")


def _click(token: str, reports: Sequence[Report]) -> Post:
    form = {"content-type": "application/x-www-form-urlencoded"}
    return Post(f"{BASE}/u/{token}", b"List-Unsubscribe=One-Click", lambda _: dict(form), reports)


@dataclass(frozen=True)
class Format:
    """How a provider writes events. `event_id(kind, provider_id, number)`: as the contract says."""

    event_id: Callable[[str, str, int], str]
    body: Callable[[Sequence[Report]], bytes]
    is_in_seconds: bool = False

    def rounded(self, at: datetime) -> datetime:
        kept = 0 if self.is_in_seconds else at.microsecond // 1000 * 1000
        return at.replace(microsecond=kept)


def _stamp(at: datetime | None) -> str:
    assert at
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


POSTMARK = {
    "delivered": ("Delivery", "DeliveredAt"), "opened": ("Open", "ReceivedAt"),
    "clicked": ("Click", "ReceivedAt"), "hard": ("Bounce", "BouncedAt"),
    "soft": ("Bounce", "BouncedAt"), "bounced": ("Bounce", "BouncedAt"),
    "complained": ("SpamComplaint", "BouncedAt"),
    "unsubscribed": ("SubscriptionChange", "ChangedAt"),
}  # fmt: skip


def _postmark_id(kind: str, provider_id: str, number: int) -> str:
    has_id = kind in ("hard", "soft", "complained")
    return f"pm:{POSTMARK[kind][0]}:{number if has_id else provider_id}"


def _postmark(reports: Sequence[Report]) -> bytes:
    [own] = reports
    name, time = POSTMARK[own.kind]
    record: dict[str, Any] = {
        "RecordType": name, "MessageID": own.provider_id, time: _stamp(own.at),
        "Metadata": {"message_id": own.message} if own.names_message else {},
    }  # fmt: skip
    if own.kind in ("bounced", "complained"):
        record["ID"] = int(own.event_id.rpartition(":")[2])
        record["Type"] = "HardBounce" if own.is_hard else "SoftBounce"
    if own.kind == "unsubscribed":
        record |= {"SuppressSending": True, "SuppressionReason": "ManualSuppression"}
    if own.url:
        record["OriginalLink"] = own.url
    return json.dumps(record).encode()


SENDGRID = {
    "delivered": "delivered", "opened": "open", "clicked": "click", "bounced": "bounce",
    "complained": "spamreport", "unsubscribed": "unsubscribe", "failed": "dropped",
}  # fmt: skip


def _sendgrid(reports: Sequence[Report]) -> bytes:
    records = []
    for own in reports:
        assert own.at
        record: dict[str, Any] = {
            "event": SENDGRID[own.kind], "sg_event_id": own.event_id.removeprefix("sg:"),
            "timestamp": int(own.at.timestamp()), "sg_message_id": f"{own.provider_id}.filter0",
        }  # fmt: skip
        if own.names_message:
            record["message_id"] = own.message
        if own.kind == "bounced":
            record["type"] = "bounce" if own.is_hard else "blocked"
        if own.url:
            record["url"] = own.url
        records.append(record)
    return json.dumps(records).encode()


def _resend(reports: Sequence[Report]) -> bytes:
    [own] = reports
    data: dict[str, Any] = {"email_id": own.provider_id}
    if own.names_message:
        data["tags"] = {"message_id": own.message}
    if own.kind == "bounced":
        data["bounce"] = {"type": "Permanent" if own.is_hard else "Transient"}
    if own.url:
        data["click"] = {"link": own.url, "timestamp": _stamp(own.at)}
    return json.dumps(
        {"type": f"email.{own.kind}", "created_at": _stamp(own.at), "data": data}
    ).encode()


TWILIO = {"delivered": "delivered", "hard": "undelivered", "soft": "undelivered",
          "bounced": "undelivered", "failed": "failed"}  # fmt: skip


def _twilio(reports: Sequence[Report]) -> bytes:
    [own] = reports
    fields = {"MessageSid": own.provider_id, "MessageStatus": TWILIO[own.kind]}
    if own.kind == "bounced":
        fields["ErrorCode"] = "30005" if own.is_hard else "30003"
    return urlencode(fields).encode()


FORMATS: dict[str, Format] = {
    "postmark": Format(_postmark_id, _postmark),
    "sendgrid": Format(lambda kind, own, number: f"sg:e{number}", _sendgrid, True),
    "resend": Format(lambda kind, own, number: f"svix:w{number}", _resend),
    "twilio": Format(lambda kind, own, number: f"tw:{own}:{TWILIO[kind]}", _twilio),
}
Signer = Callable[[int, str, bytes, datetime, str], dict[str, str]]


def _basic(config: int, url: str, body: bytes, now: datetime, own: str) -> dict[str, str]:
    code = base64.b64encode(f"hook:{plan.hook_secret(config)}".encode()).decode()
    return {"authorization": f"Basic {code}"}


def _es256(config: int, url: str, body: bytes, now: datetime, own: str) -> dict[str, str]:
    stamp = str(int(now.timestamp()))
    return {
        "x-twilio-email-event-webhook-timestamp": stamp,
        "x-twilio-email-event-webhook-signature": plan.signed(stamp.encode() + body),
    }


def _svix(config: int, url: str, body: bytes, now: datetime, own: str) -> dict[str, str]:
    stamp = str(int(now.timestamp()))
    key = plan.hook_secret(config).encode()
    digest = hmac.new(key, f"{own}.{stamp}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"svix-id": own, "svix-timestamp": stamp, "svix-signature": signature}


def _hmac_sha1(config: int, url: str, body: bytes, now: datetime, own: str) -> dict[str, str]:
    pairs = sorted(pair.split("=", 1) for pair in body.decode().strip().split("&"))
    text = url + "".join(name + value for name, value in pairs)
    digest = hmac.new(b"t", text.encode(), hashlib.sha1).digest()
    return {"x-twilio-signature": base64.b64encode(digest).decode()}


SIGNERS: dict[str, Signer] = {
    "postmark": _basic,
    "sendgrid": _es256,
    "resend": _svix,
    "twilio": _hmac_sha1,
}
