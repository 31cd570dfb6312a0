"""Generated messages, requests of our adapters, and requests that the vendors' SDKs make."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl

import requests
from hypothesis import strategies as st

from delivery.domain.outgoing import OutgoingEmail, OutgoingPush, OutgoingSms
from delivery.domain.rendered import Rendered, plain
from delivery.providers.adapter import Adapter, HttpRequest, ProviderEvent, Webhook
from mauntic.project.host_crypto import HostCrypto
from shared.adapters.http import check
from shared.ports import HTTP_TIMEOUT_S, HttpResponse
from shared.settings import Settings

NOW = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)
CALL_ID = "5a1c3a34-0000-4000-8000-00000000c0de"
CRYPTO = HostCrypto()
LIST_UNSUBSCRIBE = {
    "List-Unsubscribe": "<https://hooks.example/u/token>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
}

HOSTILE = ["{{{html}}}", "{{a}}", "%recipient.x%", "-0h0-", "</p>\"\\'&=+%20", "é字🙂", "\r\n"]
texts = st.sampled_from(HOSTILE) | st.text(max_size=40)
lines = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=40)
ids = st.uuids(version=4).map(str)
addresses = st.builds(
    "{}@{}.example".format,
    st.text("abc019.+_-", min_size=1, max_size=12),
    st.text("abc019-", min_size=1, max_size=8),
)
names = st.one_of(
    st.just(""), st.sampled_from(["Acme", "Acme, Inc.", 'The "A" Team', "Zoë"]), lines
)


seconds_left = st.sampled_from([-60, 0, 1, 2_419_200, 2_419_201]) | st.integers(-60, 3_456_000)


@st.composite
def rendered(draw: st.DrawFn, strategy: st.SearchStrategy[str] = texts) -> Rendered:
    values = draw(st.lists(strategy, max_size=3))
    literals = draw(st.lists(strategy, min_size=len(values) + 1, max_size=len(values) + 1))
    return Rendered(tuple(literals), tuple(values))


@st.composite
def emails(draw: st.DrawFn, marketing: bool | None = None) -> OutgoingEmail:
    """An e-mail with at least one part."""
    is_marketing = draw(st.booleans()) if marketing is None else marketing
    return OutgoingEmail(
        message_id=draw(ids),
        message_class="marketing" if is_marketing else "transactional",
        to=draw(addresses),
        from_address=draw(addresses),
        subject=draw(rendered(lines)),
        html=draw(rendered()),
        text=Rendered(("x", *draw(rendered()).literals[:1]), (draw(texts),)),
        from_name=draw(names),
        reply_to=(answers := draw(st.one_of(st.just(""), addresses))),
        reply_to_name=draw(names) if answers else "",
        headers=LIST_UNSUBSCRIBE if is_marketing else {},
    )


@st.composite
def calls(draw: st.DrawFn, most: int = 4) -> list[OutgoingEmail]:
    """Several e-mails with one class and sender, and different addresses and ids."""
    first = draw(emails())
    others = draw(st.lists(emails(marketing=first.message_class == "marketing"), max_size=most - 1))
    found = {message.to: like(message, first) for message in [first, *others]}
    return list(found.values())


def like(message: OutgoingEmail, first: OutgoingEmail) -> OutgoingEmail:
    """The message with the sender of another."""
    return OutgoingEmail(
        **{
            **vars(message),
            "from_address": first.from_address,
            "from_name": first.from_name,
            "reply_to": first.reply_to,
            "reply_to_name": first.reply_to_name,
        }
    )


texts_to_phones = st.builds(
    OutgoingSms,
    message_id=ids,
    message_class=st.just("marketing"),
    to=st.from_regex(r"\+[1-9][0-9]{7,13}", fullmatch=True),
    text=st.text(min_size=1, max_size=200),
    status_callback=st.sampled_from(["", "https://hooks.example/hooks/twilio/c/t/m"]),
)


@st.composite
def pushes(draw: st.DrawFn) -> OutgoingPush:
    """A push to an FCM token."""
    return OutgoingPush(
        message_id=draw(ids),
        message_class=draw(st.sampled_from(["marketing", "transactional"])),
        token=draw(st.from_regex(r"[A-Za-z0-9_:-]{20,60}", fullmatch=True)),
        title=draw(st.text(min_size=1, max_size=60)),
        body=draw(st.text(min_size=1, max_size=200)),
        expires_at=NOW + timedelta(seconds=draw(seconds_left)),
        data=draw(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), texts, max_size=3)),
    )


def email(to: str = "jane@mail.example", **fields: Any) -> OutgoingEmail:
    """A small e-mail."""
    return OutgoingEmail(
        **{
            "message_id": "0b7c56a4-1111-4111-8111-0123456789ab",
            "message_class": "transactional",
            "to": to,
            "from_address": "shop@acme.example",
            "subject": plain("Your order"),
            "html": Rendered(("<p>Hello ", "</p>"), ("Jane",)),
            "text": Rendered(("Hello ", "!"), ("Jane",)),
            **fields,
        }
    )


def several(count: int) -> list[OutgoingEmail]:
    """Small e-mails with ids and addresses of their own."""
    return [email(f"p{n}@mail.example", message_id=f"0b7c56a4-0000-{n:012}") for n in range(count)]


def request_of(
    adapter: Adapter, messages: Sequence[Any], secrets: Mapping[str, Any]
) -> HttpRequest:
    """The adapter's request, made at `NOW`. The runtime's Http would send it to its host."""
    request = asyncio.run(adapter.request(messages, secrets, CALL_ID, NOW, CRYPTO))
    assert isinstance(request, HttpRequest)
    allowed = Settings({"HTTP_ALLOWED_HOSTS": ",".join(adapter.hosts)}.get)
    check(request.method, request.url, request.headers, request.body, HTTP_TIMEOUT_S, allowed)
    return request


def answer(status: int, body: Any = None, **headers: str) -> HttpResponse:
    """A response; a body that is not bytes becomes JSON. `_` in a header's name stands for `-`."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(
        status, {name.replace("_", "-"): text for name, text in headers.items()}, raw
    )


def events_of(
    adapter: Adapter, webhook: Webhook, secrets: Mapping[str, Any]
) -> list[ProviderEvent]:
    return asyncio.run(adapter.events(webhook, secrets, CRYPTO))


def form(body: bytes | str) -> list[tuple[str, str]]:
    """The fields of a form, in any order."""
    text = body.decode() if isinstance(body, bytes) else body
    return sorted(parse_qsl(text, keep_blank_values=True, strict_parsing=True))


@dataclass
class Captured:
    """What an SDK wanted to send."""

    sent: list[requests.PreparedRequest] = field(default_factory=list)

    @property
    def only(self) -> requests.PreparedRequest:
        [request] = self.sent
        return request

    @property
    def json(self) -> Any:
        body = self.only.body
        assert isinstance(body, str | bytes)
        return json.loads(body)


@contextmanager
def captured(body: Any, status: int = 200) -> Iterator[Captured]:
    """Keep what an SDK sends through `requests`, and answer it."""
    kept = Captured()

    def send(
        self: object, request: requests.PreparedRequest, *rest: object, **options: object
    ) -> requests.Response:
        del self, rest, options
        kept.sent.append(request)
        response = requests.Response()
        response.status_code, response.url = status, request.url or ""
        response.headers["Content-Type"] = "application/json"
        response._content = json.dumps(body).encode()
        response.request = request
        return response

    with patch("requests.adapters.HTTPAdapter.send", send):
        yield kept


def same_headers(
    ours: HttpRequest, theirs: Mapping[str, str | bytes], ignored: Sequence[str] = ()
) -> None:
    """Each of our headers is one of the SDK's, and the SDK has no other that means something."""
    noise = {"user-agent", "accept", "accept-encoding", "connection", "content-length", *ignored}
    given = {name.lower(): _text(value) for name, value in theirs.items()}
    own = {name.lower(): value for name, value in ours.headers.items()}
    types = [headers.pop("content-type", "").partition(";")[0] for headers in (own, given)]
    assert types[1] in (types[0], "")
    assert {n: v for n, v in own.items() if n not in noise} == {
        n: v for n, v in given.items() if n not in noise
    }


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
