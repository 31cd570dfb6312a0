"""The hooks worker on the real runtime, called over HTTP as the internet calls it, and the delivery
worker behind its queue.
"""

from __future__ import annotations

import base64
import json
import random
import re
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from svix.webhooks import Webhook as Svix

from mauntic.database.embedded.server import temporary_server
from mauntic.database.migrations import migrate
from mauntic.demo.loopback.accounts import encrypted
from mauntic.local.control_client import Event, Front, LocalRuntime
from shared.inbox import BODY_BYTES_MAX
from shared.ports import Row
from shared.unsubscribe_token import UnsubscribeIds
from tests.e2e.sending import KEY
from tests.e2e.test_poison import MEMORY_MAX_BYTES
from tests.shared.toy import rows_of
from tests.thorough import THOROUGH, long
from tests.workers.delivery.feedback.published import Example
from tests.workers.delivery.feedback.strange import CANARY, Stranger
from tests.workers.delivery.feedback.strange import Strange as StrangeHook
from tests.workers.delivery.feedback.test_reading import PROVIDERS
from tests.workers.hooks.internet import (
    BASE,
    HOOK_KEY,
    UNSUBSCRIBE_KEY,
    hook_url,
    unsubscribe_url,
)
from tests.workers.hooks.strange import ANSWERS, Strange, strange

pytestmark = pytest.mark.e2e

ORGANIZATION, CONTACT, CONFIG = UUID(int=1), UUID(int=2), uuid4()
OTHER = UUID(int=3)
SECRET = "whsec_" + base64.b64encode(b"a secret of Resend").decode()
QUEUE, INBOX = "mauntic-delivery-feedback", "mauntic-delivery-inbox"
WORLD = (
    "insert into delivery.organization_settings (organization_id) values (:organization)"
    " returning 1",
    "insert into crm.contacts (id, organization_id, email) values (:contact, :organization,"
    " 'p1@people.example') returning 1",
    "insert into delivery.provider_configs (id, organization_id, channel, provider_type, config)"
    " values (:config, :organization, 'email', 'resend', to_jsonb(cast(:secrets as text)))"
    " returning 1",
)
MESSAGE = (
    "insert into delivery.messages (id, organization_id, idempotency_key, channel, class, state,"
    " contact_id, address, provider_config_id, attempts, called_at, sent_at, finished_at,"
    " expires_at)"
    " values (:id, :organization, :key, 'email', 'marketing', 'sent', :contact,"
    " 'p1@people.example', :config, 1, now(), now(), now(), now()) returning 1"
)
CONFIG_ROW = (
    "insert into delivery.provider_configs (id, organization_id, channel, provider_type, config)"
    " values (:config, :organization, :channel, :name, to_jsonb(cast(:secrets as text)))"
    " returning 1"
)
MOVED = (
    "update delivery.messages set organization_id = :organization, channel = :channel,"
    " provider_config_id = :config, contact_id = null, class = 'transactional'"
    " where id = any(cast(:ids as uuid[])) returning 1"
)


@dataclass
class Hooks:
    """Both workers, and the address of the one that answers."""

    url: str
    runtime: LocalRuntime
    http: httpx.Client
    events: list[Event] = field(default_factory=list)

    def rows(self, sql: str, **parameters: Any) -> list[Row]:
        with rows_of(self.url) as look:
            return look(sql, **parameters)

    def message(self) -> UUID:
        """A message that was sent."""
        message = uuid4()
        own = {"organization": ORGANIZATION, "contact": CONTACT, "config": CONFIG}
        self.rows(MESSAGE, id=message, key=str(message), **own)
        return message

    def path(self, url: str) -> str:
        return url.removeprefix(BASE)

    def post(self, path: str, body: Any = b"{}", **headers: str) -> httpx.Response:
        return self.http.post(path, content=body, headers=headers)

    def settle(self) -> None:
        """Wait until the feedback queue is empty."""
        assert self.runtime.control.wait_idle([QUEUE]), self.runtime.control.queues()


@pytest.fixture(scope="module")
def hooks() -> Iterator[Hooks]:
    events: list[Event] = []
    keys = {"HOOK_KEYS": HOOK_KEY, "UNSUBSCRIBE_KEYS": UNSUBSCRIBE_KEY, "PROVIDER_KEY": KEY}
    with temporary_server(in_memory=True) as server:
        migrate(server.url)
        with (
            LocalRuntime(
                server.url,
                envs=["delivery", "hooks"],
                variables=keys,
                fronts=[Front("hooks", "HOOKS_BASE_URL")],
                on_event=events.append,
            ) as runtime,
            httpx.Client(base_url=runtime.addresses["hooks"], timeout=60, trust_env=False) as http,
        ):
            system = Hooks(server.url, runtime, http, events)
            secrets = encrypted({"apiKey": "k", "hookSecret": SECRET}, KEY)
            own = {"organization": ORGANIZATION, "contact": CONTACT, "config": CONFIG}
            for statement in WORLD:
                system.rows(statement, secrets=secrets, **own)
            yield system


def bounce(hooks: Hooks, message: UUID, hook_id: str, padding: int = 0) -> httpx.Response:
    """A webhook that `svix` signs."""
    data = {
        "tags": {"message_id": str(message)},
        "bounce": {"type": "Permanent"},
        "x": "é" * padding,
    }
    record = {"type": "email.bounced", "created_at": datetime.now(UTC).isoformat(), "data": data}
    body, stamp = json.dumps(record, ensure_ascii=False), datetime.now(UTC)
    headers = {
        "svix-id": hook_id,
        "svix-timestamp": str(int(stamp.timestamp())),
        "svix-signature": Svix(SECRET).sign(hook_id, stamp, body),
    }
    path = hooks.path(hook_url("resend", CONFIG))
    return hooks.post(path, body.encode(), **headers)


@pytest.mark.parametrize("padding", [0, 5_000, 300_000])
def test_a_bounce_reaches_the_ledger_whatever_its_size(hooks: Hooks, padding: int) -> None:
    """Its signature covers every byte, through queue or bucket; twice is once."""
    message, hook_id = hooks.message(), f"msg_{padding}"
    for _ in range(2):
        assert bounce(hooks, message, hook_id, padding).status_code == 200
    hooks.settle()
    [row] = hooks.rows("select bounce_kind from delivery.messages where id = :id", id=message)
    assert row["bounce_kind"] == "hard"
    events = hooks.rows("select 1 from delivery.delivery_events where message_id = :id", id=message)
    assert len(events) == 1
    assert hooks.runtime.control.objects(INBOX) == []


@long
@pytest.mark.timeout(600)
def test_the_largest_batch_of_webhooks_fits_into_an_isolate(hooks: Hooks) -> None:
    """Fifty objects of almost 1 MB, as SendGrid sends them for a large campaign."""
    webhooks, events = 50, 3_000
    key, config = ec.generate_private_key(ec.SECP256R1()), uuid4()
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    secrets = {"apiKey": "k", "webhookPublicKey": base64.b64encode(public).decode()}
    hooks.rows(
        "insert into delivery.provider_configs"
        " (id, organization_id, channel, provider_type, config)"
        " values (:config, :organization, 'email', 'sendgrid', to_jsonb(cast(:secrets as text)))"
        " returning 1",
        config=config,
        organization=ORGANIZATION,
        secrets=encrypted(secrets, KEY),
    )
    hooks.runtime.control.reload("mauntic-delivery-queue")
    hooks.runtime.control.ask("POST", f"/queues/{QUEUE}/pause")
    stamp = str(int(datetime.now(UTC).timestamp()))
    for number in range(webhooks):
        body = sendgrid_events(hooks.message(), number, events)
        signature = key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        answer = hooks.post(
            hooks.path(hook_url("sendgrid", config)),
            body,
            **{
                "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
                "x-twilio-email-event-webhook-timestamp": stamp,
            },
        )
        assert answer.status_code == 200
    hooks.runtime.control.ask("POST", f"/queues/{QUEUE}/resume")
    assert hooks.runtime.control.wait_idle([QUEUE], timeout_s=500)
    [found] = hooks.rows(
        "select count(*) as n from delivery.delivery_events where event_id like :own",
        own="sg:%",
    )
    assert found["n"] == webhooks * events
    memory = hooks.runtime.control.memory()["workers"]["mauntic-delivery-queue"]["wasmBytes"]
    assert memory < MEMORY_MAX_BYTES


def sendgrid_events(message: UUID, number: int, count: int) -> bytes:
    """A webhook of `count` events, of about 300 bytes each."""
    now = int(datetime.now(UTC).timestamp())
    return json.dumps(
        [
            {
                "email": "p1@people.example", "timestamp": now, "event": "open",
                "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>", "category": ["spring"],
                "sg_event_id": f"{number}-{place}", "message_id": str(message),
                "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
            }
            for place in range(count)
        ]
    ).encode()  # fmt: skip


def test_a_forged_body_with_the_right_url_changes_nothing(hooks: Hooks) -> None:
    message = hooks.message()
    record = {"type": "email.bounced", "data": {"tags": {"message_id": str(message)}}}
    path = hooks.path(hook_url("resend", CONFIG))
    assert hooks.post(path, json.dumps(record).encode()).status_code == 200
    hooks.settle()
    [row] = hooks.rows("select bounced_at from delivery.messages where id = :id", id=message)
    assert row["bounced_at"] is None


def test_a_link_asks_and_a_click_unsubscribes(hooks: Hooks) -> None:
    message = hooks.message()
    link = hooks.path(unsubscribe_url(UnsubscribeIds(ORGANIZATION, CONTACT, message)))
    page = hooks.http.get(link)
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    assert '<form method="post">' in page.text
    assert hooks.http.head(link).headers["content-type"] == "text/html; charset=utf-8"
    assert hooks.runtime.control.queues()[QUEUE]["waiting"] == 0
    for parts in ({"data": {"List-Unsubscribe": "One-Click"}},
                  {"files": {"List-Unsubscribe": (None, "One-Click")}}):  # fmt: skip
        answer = hooks.http.post(link, **parts)
        assert answer.status_code == 200
        assert not answer.cookies
    hooks.settle()
    found = hooks.rows(
        "select scope, reason from delivery.suppressions where reason = 'unsubscribe'"
    )
    assert found == [{"scope": "marketing", "reason": "unsubscribe"}]


def test_what_the_platform_makes_of_a_path_is_not_found(hooks: Hooks) -> None:
    """The URL arrives as the runtime normalizes it."""
    good = hooks.path(hook_url("resend", CONFIG))
    paths = (
        "/", "/hooks/", f"/x/..{good}", good.replace("/hooks/", "/hooks%2F"), f"/{good}",
        f"{good}/",
        good[:-1], good.replace("/resend/", "/resend%00/"), f"{good}%0d%0ax", good.upper(),
    )  # fmt: skip
    statuses = {path: raw(hooks, f"POST {path} HTTP/1.1", b"{}") for path in paths}
    normalized = f"/x/..{good}"  # the same URL
    assert statuses.pop(normalized) == 200
    assert set(statuses.values()) == {404}
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        assert raw(hooks, f"{method} {good} HTTP/1.1") == 404


def raw(hooks: Hooks, line: str, body: bytes = b"", *headers: str, then: bytes = b"") -> int:
    """Send exactly these bytes and return the status; 0 if the connection is closed without one."""
    to = urlsplit(hooks.runtime.addresses["hooks"])
    length = [] if headers else [f"Content-Length: {len(body)}"]
    head = "\r\n".join([line, "Host: x", "Connection: close", *length, *headers, "", ""])
    with closing(socket.create_connection((to.hostname, to.port), timeout=60)) as connection:
        connection.sendall(head.encode() + body + then)
        answer = connection.recv(200)
    return int(answer.split(b" ")[1]) if answer else 0


def test_bodies_that_are_chunked_or_too_large(hooks: Hooks) -> None:
    path = hooks.path(hook_url("resend", CONFIG))
    line = f"POST {path} HTTP/1.1"
    chunked = "Transfer-Encoding: chunked"
    assert raw(hooks, line, b"2\r\n{}\r\n0\r\n\r\n", chunked) == 200
    chunk = b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n"
    assert raw(hooks, line, chunk + b"1\r\nx\r\n0\r\n\r\n", chunked) == 413
    assert raw(hooks, line, b"", "Content-Length: " + "9" * 400) in (400, 413)


@long
def test_a_body_that_never_ends_is_given_up(hooks: Hooks) -> None:
    """By the runtime's timer: it takes ten seconds."""
    path = hooks.path(hook_url("resend", CONFIG))
    assert raw(hooks, f"POST {path} HTTP/1.1", b"{", "Content-Length: 100") == 408


def test_a_stranger_cannot_use_up_memory_or_fill_the_log(hooks: Hooks) -> None:
    def flood(count: int) -> None:
        for number in range(count):
            path = f"/hooks/resend/{uuid4()}/{number:064x}"
            assert hooks.post(path, b"x" * 10_000).status_code == 404

    def wasm_bytes() -> int:
        return int(hooks.runtime.control.memory()["workers"]["mauntic-delivery-hooks"]["wasmBytes"])

    flood(50)
    before, hooks.events[:] = wasm_bytes(), []
    flood(200)
    assert wasm_bytes() == before
    assert [own for own in hooks.events if own.get("worker") == "mauntic-delivery-hooks"] == []
    assert hooks.runtime.control.queues()[QUEUE]["waiting"] == 0


REQUESTS = 10_000 if THOROUGH else 150


def test_random_requests_are_answered_and_leave_the_worker_as_it_was(hooks: Hooks) -> None:
    """Ten thousand in `make thorough`."""
    rng = random.Random(None if THOROUGH else 1)
    hooks.events[:] = []

    def ask(own: Strange) -> int:
        headers = [(name.encode(), value.encode("latin-1")) for name, value in own.headers.items()]
        return hooks.http.request(
            own.method, own.path, content=own.body, headers=headers
        ).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = Counter(pool.map(ask, (strange(rng, BASE) for _ in range(REQUESTS))))
    assert statuses.keys() <= ANSWERS
    assert statuses[404] > REQUESTS / 4
    assert statuses[200] > 0
    events = {own["text"] for own in hooks.events if own.get("worker") == "mauntic-delivery-hooks"}
    assert [text for text in events if "hooks.limited" not in text] == []
    link = hooks.path(unsubscribe_url(UnsubscribeIds(ORGANIZATION, CONTACT, uuid4())))
    assert hooks.http.get(link).status_code == 200


STRANGE = 1_000 if THOROUGH else 50  # of each provider


def strangers(hooks: Hooks) -> Sequence[tuple[Stranger, Sequence[Example]]]:
    """One for each provider, with a config and messages of its own. The last message is foreign."""
    foreign, found, base = hooks.message(), [], hooks.runtime.addresses["hooks"].rstrip("/")
    for name, provider in PROVIDERS.items():
        config, own = uuid4(), [hooks.message(), hooks.message()]
        elsewhere = {"topicArn": "arn:aws:sns:x"}  # the certificate is not fetched
        secrets = encrypted(provider.secrets | elsewhere, KEY)
        hooks.rows(CONFIG_ROW, config=config, organization=OTHER, name=name, secrets=secrets,
                   channel=provider.channel)  # fmt: skip
        hooks.rows(MOVED, organization=OTHER, config=config, ids=own, channel=provider.channel)
        stranger = Stranger(random.Random(f"7{name}"), name, config, [*own, foreign], base)
        found.append((stranger, provider.examples))
    return found


@pytest.mark.timeout(1_800)
def test_each_strange_webhook_has_an_end_in_the_runtime(hooks: Hooks) -> None:
    """Also those that are nested more deeply than the interpreter of a worker can follow."""
    hooks.rows("insert into delivery.organization_settings (organization_id) values (:id)"
               " returning 1", id=OTHER)  # fmt: skip
    known = strangers(hooks)
    hooks.settle()  # what other tests have sent
    hooks.events[:], before = [], ended(hooks)
    statuses: Counter[int] = Counter()
    with ThreadPoolExecutor(4) as pool:
        for stranger, examples in known:
            asked = [stranger.request(stranger.record(examples), datetime.now(UTC))
                     for _ in range(STRANGE)]  # fmt: skip
            statuses.update(pool.map(lambda own: ask_strangely(hooks, *own), asked))
    assert statuses.keys() <= {200, 400, 404, 413}
    assert statuses[200] > STRANGE * len(known) / 2
    hooks.settle()
    assert sum((ended(hooks) - before).values()) == statuses[200]
    reasons = {row["reason"] for row in hooks.rows("select reason from ops.dead_letters")}
    assert reasons <= {"bad_signature", "unknown_config"}
    foreign = known[0][0].ids[-1]
    assert hooks.rows("select 1 from delivery.delivery_events where message_id = :id",
                      id=foreign) == []  # fmt: skip
    texts = " ".join(str(event.get("text")) for event in hooks.events)
    assert not re.search(rf"{CANARY}|job\.crashed|request\.failed", texts)


def ask_strangely(hooks: Hooks, url: str, made: StrangeHook) -> int:
    texts = {name: text.replace("\0", "") for name, text in made.headers.items()}  # no HTTP client
    headers = [(name.encode(), text.encode()) for name, text in texts.items()]
    # Each has a connection of its own, because the server closes one whose body it does not read.
    headers.append((b"connection", b"close"))
    try:
        return hooks.http.post(url, content=made.body, headers=headers).status_code
    except httpx.TransportError:
        if len(made.body) <= BODY_BYTES_MAX:
            raise
        return 413  # it was closed before the answer could be read


def ended(hooks: Hooks) -> Counter[str]:
    """How many webhooks are acked or dead so far."""
    points = [point["blobs"] for point in hooks.runtime.control.metrics()]
    return Counter(own[3] for own in points if own[7:8] == [QUEUE] and own[3] in ("ack", "dead"))
