"""Webhooks as providers send them, and as attackers do."""

from __future__ import annotations

import base64
import json
import random
import tracemalloc
from collections import Counter
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.messages import ProviderEvents
from hooks.domain import limits
from tests.fakes import QueueBinding
from tests.workers.hooks.internet import (
    BASE,
    CONFIG,
    HOOK_KEY,
    IDS,
    MESSAGE,
    NOW,
    Internet,
    hook_url,
    unsubscribe_url,
)
from tests.workers.hooks.strange import ANSWERS, strange

TOKEN = hook_url().rpartition("/")[2]
SIGNATURE, STAMP = (
    "x-twilio-email-event-webhook-signature",
    "x-twilio-email-event-webhook-timestamp",
)


@pytest.fixture
def internet() -> Internet:
    return Internet()


def test_a_webhook_is_a_message_that_the_consumer_reads(internet: Internet) -> None:
    body = b'[{"event": "delivered", "\xff\0": "\\u00e9"}]\r\n'
    headers = {SIGNATURE: "MEU=", STAMP: "1600000000", "authorization": "Bearer x", "cookie": "c"}
    answer = internet.request("POST", hook_url(), body, headers)
    assert (answer.status, answer.body) == (200, b"")
    [message] = internet.sent
    assert message == {
        "type": "delivery.ProviderEvents",
        "data": {
            "providerConfigId": str(CONFIG),
            "provider": "sendgrid",
            "url": hook_url(),
            "headers": {SIGNATURE: "MEU=", STAMP: "1600000000"},
            "body": base64.b64encode(body).decode(),
            "receivedAt": NOW.isoformat(),
        },
    }
    data = ProviderEvents.model_validate(message).data
    assert (data.raw, data.provider_config_id, data.received_at) == (body, CONFIG, NOW)
    assert internet.events == []


def test_a_status_callback_names_its_message_and_keeps_its_query(internet: Internet) -> None:
    url = hook_url("twilio", more=f"/{MESSAGE}?bodySHA256=5d41")
    assert internet.post(url, b"MessageSid=SM1", x_twilio_signature="c2ln").status == 200
    [message] = internet.sent
    assert message["data"]["url"] == url
    assert message["data"]["headers"] == {"x-twilio-signature": "c2ln"}


@given(st.binary(max_size=2_000))
def test_any_bytes_arrive_as_they_are(body: bytes) -> None:
    internet = Internet()
    assert internet.post(hook_url("ses"), body).status == 200
    [message] = internet.sent
    assert ProviderEvents.model_validate(message).data.raw == body


LONG = "s" * 2_048  # the longest header that is accepted


@pytest.mark.parametrize("size", [0, 12_000, 65_536, 65_537, 1_000_000])
@pytest.mark.parametrize("header", ["s", LONG, '"' * 2_048])
def test_a_message_is_never_larger_than_a_consumer_reads(
    internet: Internet, size: int, header: str
) -> None:
    """What would be is an object; either way every byte is there."""
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    headers = {f"svix-{name}": header for name in ("id", "timestamp", "signature")}
    assert internet.request("POST", hook_url("resend"), body, headers).status == 200
    [message] = internet.sent
    assert len(json.dumps(message)) <= 120_000  # LARGE_BODY_CHARS_MAX
    data = ProviderEvents.model_validate(message).data
    if size <= 65_536:
        assert (data.raw, internet.bucket.objects) == (body, {})
    else:
        assert data.object
        assert base64.b64decode(internet.bucket.objects[data.object][0]) == body
        assert data.object.startswith(f"2026-03-10/{CONFIG}/")
        assert TOKEN not in data.object


def test_two_large_bodies_of_the_same_moment_are_two_objects(internet: Internet) -> None:
    for internet.random in (0.1, 0.2):
        assert internet.post(hook_url(), b"x" * 70_000).status == 200
    assert len(internet.bucket.objects) == 2


def test_a_body_of_more_than_a_megabyte_is_refused(internet: Internet) -> None:
    assert internet.post(hook_url(), b"x" * 1_000_001).status == 413
    assert (internet.sent, internet.bucket.objects) == ([], {})


@pytest.mark.parametrize("status", [400, 408, 413])
def test_a_body_that_cannot_be_read_is_refused(internet: Internet, status: int) -> None:
    assert internet.request("POST", hook_url(), refusal=status).status == status
    assert (internet.sent, internet.events) == ([], [])


def test_the_same_body_twice_is_two_messages(internet: Internet) -> None:
    """The consumer absorbs a replay by the event's id."""
    for _ in range(2):
        assert internet.post(hook_url(), b'[{"sg_event_id": "1"}]').status == 200
    assert len(internet.sent) == 2


# Nothing is acknowledged that is not kept.


def test_without_the_queue_the_provider_tries_again(internet: Internet) -> None:
    assert internet.queue is not None
    internet.queue.broken = RuntimeError("overloaded")
    answer = internet.post(hook_url())
    assert (answer.status, answer.headers["retry-after"]) == (503, "30")
    [event] = internet.events
    assert (event["event"], event["type"]) == ("hooks.not_queued", "delivery.ProviderEvents")
    assert TOKEN not in str(event)
    internet.queue.broken = None
    assert internet.post(hook_url()).status == 200
    assert len(internet.sent) == 1


def test_without_the_bucket_the_provider_tries_again(internet: Internet) -> None:
    internet.bucket.faults = lambda operation, key: "500"
    assert internet.post(hook_url(), b"x" * 70_000).status == 503
    assert internet.named("hooks.not_queued")[0]["error_class"] == "StorageError:500"
    assert internet.sent == []


def test_an_unbound_queue_is_no_acceptance(internet: Internet) -> None:
    internet.queue = None
    assert internet.post(hook_url()).status == 503
    assert internet.named("hooks.not_queued")[0]["reason"] == "DELIVERY_FEEDBACK"


@pytest.mark.parametrize("keys", ["", " , ", None])
def test_without_a_key_the_provider_tries_again(internet: Internet, keys: str | None) -> None:
    """An empty key would verify a token that anyone can compute."""
    internet.settings = {"HOOK_KEYS": keys} if keys is not None else {}
    for _ in range(100):
        assert internet.post(hook_url()).status == 503
    assert [(e["event"], e["reason"]) for e in internet.events] == [
        ("hooks.not_configured", "HOOK_KEYS")
    ]
    assert internet.bodies_read == 0


# What a stranger may try. A body is not even read.

OTHER = uuid4()
STRANGE = {
    "no token": f"{BASE}/hooks/sendgrid/{CONFIG}",
    "empty token": f"{BASE}/hooks/sendgrid/{CONFIG}/",
    "short token": hook_url()[:-1],
    "long token": f"{hook_url()}0",
    "wrong end": hook_url()[:-1] + ("0" if hook_url()[-1] != "0" else "1"),
    "wrong start": hook_url().replace(TOKEN, ("0" if TOKEN[0] != "0" else "1") + TOKEN[1:]),
    "upper token": hook_url().replace(TOKEN, TOKEN.upper()),
    "another config": hook_url().replace(str(CONFIG), str(OTHER)),
    "upper config": hook_url().replace(str(CONFIG), str(CONFIG).upper()),
    "braces": hook_url().replace(str(CONFIG), f"{{{CONFIG}}}"),
    "no hyphens": hook_url().replace(str(CONFIG), CONFIG.hex),
    "unknown provider": hook_url("acme"),
    "push has no webhooks": hook_url("fcm"),
    "capture has no webhooks": hook_url("capture"),
    "upper provider": hook_url("SendGrid"),
    "no provider": hook_url(""),
    "dots": hook_url().replace("/hooks/", "/hooks/../hooks/"),
    "encoded dots": hook_url().replace("/hooks/", "/hooks/%2e%2e/hooks/"),
    "encoded slash": hook_url().replace("/hooks/", "/hooks%2f"),
    "double slash": hook_url().replace("/hooks/", "//hooks/"),
    "inner double slash": hook_url().replace("/sendgrid/", "//sendgrid/"),
    "backslash": hook_url().replace("/hooks/", "\\hooks\\"),
    "trailing slash": f"{hook_url()}/",
    "message that is no id": f"{hook_url()}/1",
    "more behind the message": f"{hook_url()}/{MESSAGE}/x",
    "line feed": f"{hook_url()}\n",
    "encoded line feed": f"{hook_url()}%0a",
    "nul": f"{hook_url()}\0",
    "semicolon": f"{hook_url()};x",
    "fragment": f"{hook_url()}#x",
    "unicode digits": hook_url().replace(TOKEN, "٠" * 64),
    "full-width": hook_url().replace("hooks/", "ｈooks/"),
    "unicode query": f"{hook_url()}?é",
    "very long": f"{hook_url()}?{'x' * 2_000}",
    "extremely long": f"{BASE}/{'a' * 1_000_000}",
    "root": f"{BASE}/",
    "no path": BASE,
    "favicon": f"{BASE}/favicon.ico",
    "robots": f"{BASE}/robots.txt",
    "environment": f"{BASE}/.env",
    "well-known": f"{BASE}/.well-known/security.txt",
    "cdn": f"{BASE}/cdn-cgi/trace",
    "old prefix": f"{BASE}/webhooks/sendgrid/{CONFIG}/{TOKEN}",
    "page below": f"{unsubscribe_url()}/x",
    "page encoded": unsubscribe_url().replace("/u/", "/%75/"),
}


@pytest.mark.parametrize("url", STRANGE.values(), ids=STRANGE)
def test_a_strange_path_is_not_found(internet: Internet, url: str) -> None:
    for method in ("POST", "GET", "HEAD"):
        answer = internet.request(method, url)
        assert (answer.status, answer.body) == (404, b"")
    assert (internet.sent, internet.events, internet.bodies_read) == ([], [], 0)


def test_random_requests_are_answered(internet: Internet) -> None:
    """The same requests go to the real runtime in tests/e2e/test_hooks.py."""
    rng, statuses = random.Random(1), Counter[int]()
    for _ in range(1_000):
        own = strange(rng, BASE)
        internet.advance(seconds=2)
        answer = internet.request(own.method, BASE + own.path, own.body, own.headers)
        statuses[answer.status] += 1
    assert statuses.keys() <= ANSWERS
    assert min(statuses[200], statuses[404], statuses[400]) > 20
    assert internet.named("request.failed") == []


@given(st.text(max_size=300))
def test_any_path_has_an_answer(path: str) -> None:
    internet = Internet()
    assert internet.post(f"{BASE}/{path}").status == 404
    assert internet.events == []


@pytest.mark.parametrize(
    "method",
    ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post", "POST ", ""],
)
def test_a_webhook_is_a_post(internet: Internet, method: str) -> None:
    assert internet.request(method, hook_url()).status == 404
    assert internet.sent == []


def test_a_method_cannot_be_overridden(internet: Internet) -> None:
    headers = {"x-http-method-override": "POST", "x-original-url": "/hooks", "x-rewrite-url": "/"}
    assert internet.request("GET", hook_url(), b"{}", headers).status == 404


def test_a_token_of_an_older_key_is_right_and_one_of_none_is_wrong(internet: Internet) -> None:
    internet.settings["HOOK_KEYS"] = f"newer,{HOOK_KEY}"
    assert internet.post(hook_url()).status == 200
    internet.settings["HOOK_KEYS"] = "newer"
    assert internet.post(hook_url()).status == 404


@pytest.mark.parametrize(
    "value", ["x" * 2_049, "a\r\nx-injected: 1", "a\0", "é", "a\x7f", "\ud800"]
)
def test_a_header_that_is_no_signature_is_refused(internet: Internet, value: str) -> None:
    headers = {"x-twilio-signature": value}
    assert internet.request("POST", hook_url("twilio"), b"a=b", headers).status == 400
    assert (internet.sent, internet.bodies_read) == ([], 0)


def test_many_and_large_other_headers_do_not_go_on(internet: Internet) -> None:
    headers = {f"x-{number}": "v" * 5_000 for number in range(500)} | {"x-twilio-signature": "s"}
    assert internet.request("POST", hook_url("twilio"), b"a=b", headers).status == 200
    assert internet.sent[0]["data"]["headers"] == {"x-twilio-signature": "s"}


@pytest.mark.parametrize("provider", ["mailgun", "ses"])
def test_a_provider_without_signed_headers_has_none(internet: Internet, provider: str) -> None:
    headers = {"authorization": "Basic x", "x-amz-sns-message-type": "Notification"}
    assert internet.request("POST", hook_url(provider), b"{}", headers).status == 200
    assert internet.sent[0]["data"]["headers"] == {}


def test_the_body_is_not_interpreted(internet: Internet) -> None:
    """What ends an interpreter elsewhere is only bytes here."""
    for body in (
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"1" * 60_000,
        json.dumps("x" * 60_000).encode(),
    ):
        internet.advance(seconds=2)
        assert internet.post(hook_url(), body).status == 200


# A flood.


def test_a_flood_of_a_config_is_refused_and_does_not_touch_another(internet: Internet) -> None:
    statuses = [internet.post(hook_url()).status for _ in range(1_200)]
    assert statuses == [200] * 1_000 + [429] * 200
    assert len(internet.sent) == 1_000
    assert internet.post(hook_url(config=OTHER)).status == 200
    assert [event["event"] for event in internet.events] == ["hooks.limited"]
    assert internet.events[0]["reason"] == str(CONFIG)
    internet.advance(seconds=1)
    statuses = [internet.post(hook_url()).status for _ in range(300)]
    assert statuses == [200] * 200 + [429] * 100


def test_memory_stays_flat(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever strangers send: other configs, other messages, other paths."""
    monkeypatch.setattr(limits, "KEPT_MAX", 50)

    def flood(start: int) -> None:
        for number in range(start, start + 200):
            internet.post(hook_url(config=UUID(int=number)), b"x" * 1_000)
            internet.one_click(f"{BASE}/u/{'a' * 86}")
            internet.one_click(unsubscribe_url(replace(IDS, message_id=UUID(int=number))))
            internet.queue = QueueBinding()

    flood(0)
    tracemalloc.start()
    flood(200)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000  # 400 kB were received
    assert all(len(kept) == 50 for kept in internet.limits.buckets.values())


def test_the_time_is_that_of_the_request(internet: Internet) -> None:
    internet.advance(minutes=3)
    internet.post(hook_url())
    assert datetime.fromisoformat(internet.sent[0]["data"]["receivedAt"]) == internet.now
