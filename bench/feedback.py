"""Feedback: events a second, from signed webhooks in the queue to the rows of all that they change.

The bound is the time at 1,500 events a second. Without a bound, the same is compared with one plain
statement for each thousand events that writes the same rows: it verifies no signature, matches and
holds no message, and nothing follows from an event.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.measure import Result, stopwatch
from bench.world import SQL, World
from delivery.feedback.applying import EVENTS_MAX
from delivery.queues import FEEDBACK
from delivery.worker import WORKER
from mauntic.database.url import connect
from mauntic.demo.loopback.accounts import encrypted
from mauntic.local.control_client import Event, LocalRuntime

EVENTS, A_SECOND = 100_000, 1_500
PER_WEBHOOK, EVENTS_PER_MESSAGE = 100, 4
ROUNDS, TIMEOUT_S, POLL_S = 3, 600, 0.1
KEY = "0f" * 32
CONFIG = UUID(int=7_001)
SIGNING = ec.derive_private_key(7_919, ec.SECP256R1())
KINDS = ("processed", "delivered", "open", "click")


def run(world: World) -> list[Result]:
    """Deliver the webhooks, alternating with the plain statements."""
    url, events = world.database("feedback", []), world.events(EVENTS)
    with running(url) as runtime, closing(connect(url)) as db:
        records = fill(db, events)
        ours, plain = [], []
        for number in range(ROUNDS + 1):
            bodies = webhooks(records)
            forget(db)
            duration_ms = stopwatch(lambda b=bodies: deliver(runtime, db, b, events))  # type: ignore[misc]
            forget(db)
            plain_ms = stopwatch(lambda: _plain(db, records))
            if number:  # the first is a warm-up
                ours.append(duration_ms)
                plain.append(plain_ms)
    a_second = events * 1_000 / sorted(ours)[len(ours) // 2]
    name = f"{events:,} events in {len(records) // PER_WEBHOOK:,} webhooks"
    target_ms = events * 1_000 / A_SECOND
    note = f"{a_second:,.0f} a second, target {A_SECOND:,}"
    return [
        Result(name, ours, [target_ms] * len(ours), at_most=1.0, note=note),
        Result("the same / plain statements", ours, plain),
    ]


def running(url: str, on_event: Callable[[Event], None] = lambda event: None) -> LocalRuntime:
    """Return the worker, live."""
    variables = {"DELIVERY_MODE": "live", "PROVIDER_KEY": KEY}
    return LocalRuntime(url, envs=[WORKER.env], variables=variables, on_event=on_event)


def fill(db: Any, events: int) -> list[dict[str, Any]]:
    """Fill the tables; return the events in the order of their times, as SendGrid sends them."""
    sent_at = datetime.now(UTC) - timedelta(hours=1)
    public = SIGNING.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    secrets = {"apiKey": "k", "webhookPublicKey": base64.b64encode(public).decode()}
    messages = events // EVENTS_PER_MESSAGE
    db.run(
        SQL["fill_feedback"],
        config_id=CONFIG,
        config=json.dumps(encrypted(secrets, KEY)),
        messages=messages,
        sent_at=sent_at,
    )
    for table in ("delivery.messages", "crm.contacts"):
        db.run(f"vacuum (analyze) {table}")
    ids = [str(message_id) for [message_id] in db.run(SQL["message_ids"], messages=messages)]
    return [
        {
            "email": f"contact{number}@mail.example",
            "timestamp": int(sent_at.timestamp()) + 60 * place + number % 60,
            "event": kind,
            "sg_event_id": f"{kind}-{number}",
            "sg_message_id": f"call {number}.filter0001.16648.0",
            "message_id": message_id,
            **({"url": "https://shop.example/sale"} if kind == "click" else {}),
        }
        for place, kind in enumerate(KINDS)
        for number, message_id in enumerate(ids)
    ]


def webhooks(records: Sequence[dict[str, Any]], each: int = PER_WEBHOOK) -> list[dict[str, Any]]:
    """Return queue messages as the hooks worker sends them, signed now."""
    now = datetime.now(UTC)
    stamp = str(int(now.timestamp()))
    found = []
    for start in range(0, len(records), each):
        body = json.dumps(records[start : start + each]).encode()
        signature = SIGNING.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        data = {
            "providerConfigId": str(CONFIG),
            "provider": "sendgrid",
            "url": f"https://hooks.example/hooks/sendgrid/{CONFIG}/t",
            "headers": {
                "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
                "x-twilio-email-event-webhook-timestamp": stamp,
            },
            "body": base64.b64encode(body).decode(),
            "receivedAt": now.isoformat(),
        }
        found.append({"type": "delivery.ProviderEvents", "data": data})
    return found


def deliver(runtime: LocalRuntime, db: Any, bodies: list[dict[str, Any]], events: int) -> None:
    """Send queue messages, and wait until all events are recorded."""
    for start in range(0, len(bodies), 100):
        runtime.control.send(FEEDBACK.name, bodies[start : start + 100])
    deadline = time.monotonic() + TIMEOUT_S
    while (found := db.run(SQL["recorded_feedback"])[0][0]) != events:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{found:,} of {events:,} events were recorded")
        time.sleep(POLL_S)


def _plain(db: Any, records: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(records), EVENTS_MAX):
        db.run(SQL["plain_feedback"], events=json.dumps(records[start : start + EVENTS_MAX]))


def forget(db: Any) -> None:
    """Bring the tables back to the state before the first event, with no dead rows."""
    db.run(SQL["forget_feedback"])
    for table in (
        "delivery.messages",
        "delivery.delivery_events",
        "analytics.contact_activity",
        "delivery.platform_outbox",
    ):
        db.run(f"vacuum (analyze) {table}")
