"""Measure deliveries and webhooks in the local runtime, with imitated providers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

from bench import deliver, feedback
from bench.deliver import Sender
from bench.world import SQL
from delivery.queues import EMAIL, FEEDBACK
from mauntic.database.embedded.server import temporary_server
from mauntic.database.migrations import migrate
from mauntic.database.url import connect
from shared.queues import Queue
from tools.cost_measured import SQL as MEASURED
from tools.cost_measured import Body, Lines, cpu_s, share
from tools.delivery_operations import WEBHOOK_CPU_MS, Operations, of_messages, of_webhooks
from tools.usage import Usage

BULK, SINGLE, ALONE = 2_000, 100, 20
PER_WEBHOOK = 100
TIMEOUT_S, POLL_S = 300, 0.05


def measure_deliveries() -> Iterator[Usage]:
    """Measure e-mails and webhooks: many at once, and one alone."""
    for measure in (_emails, _webhooks):
        with temporary_server() as server:
            migrate(server.url)
            yield from measure(server.url)


def _emails(url: str) -> Iterator[Usage]:
    lines = Lines()
    with deliver.live_sender(url, lines) as sender:
        sender.send("postmark", BULK // 10, 1)  # warm-up
        for name, provider, messages, per_call in (
            ("campaign e-mail, 100 a call", "postmark", BULK, 100),
            ("e-mail, one a call", "mailgun", SINGLE, 1),
        ):
            used_s = _used_s(sender, lines, provider, messages)
            references = [_reference()] * messages
            counted = of_messages(messages, calls=messages // per_call)
            yield share(
                name, lines, used_s, references, _largest(EMAIL), **_each(counted, messages)
            )
        sender.send("postmark", ALONE, 1)
        yield _alone(sender, lines)


def _used_s(sender: Sender, lines: Lines, provider: str, messages: int) -> float:
    """Send messages from the ledger, and return the processor time."""
    lines.texts.clear()
    before_s = cpu_s()
    sender.send(provider, messages, 1)
    _until_idle(sender)
    return cpu_s() - before_s


def _alone(sender: Sender, lines: Lines) -> Usage:
    """Send messages in whole, each after the last: an invocation inserts, another one sends."""
    with closing(connect(sender.url)) as db:
        contacts = db.run(MEASURED["contacts"])
        bodies = [_whole(*row) for row in contacts[:ALONE]]
        lines.texts.clear()
        before_s = cpu_s()
        for number, body in enumerate(bodies, start=1):
            sender.runtime.control.send(EMAIL.name, [body])
            _until_sent(db, ALONE + number)
        _until_idle(sender)
        used_s = cpu_s() - before_s
    counted = _each(of_messages(ALONE, calls=ALONE, in_whole=True), ALONE)
    return share("e-mail in whole, alone", lines, used_s, bodies, 1, **counted)


def _until_idle(sender: Sender) -> None:
    """Wait for the log lines, which follow the answers."""
    if not sender.runtime.control.wait_idle([EMAIL.name], timeout_s=TIMEOUT_S):
        raise TimeoutError(f"{EMAIL.name} did not end")


def _until_sent(db: Any, messages: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while db.run(SQL["sent_emails"])[0] != [messages, 0]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{messages} messages were not sent")
        time.sleep(POLL_S)


def _webhooks(url: str) -> Iterator[Usage]:
    lines = Lines()
    with feedback.running(url, lines) as runtime, closing(connect(url)) as db:
        records = feedback.fill(db, BULK)
        for name, each in (("webhook, one event", 1), ("webhook, 100 events", PER_WEBHOOK)):
            for chosen in (records[: BULK // 10], records):  # the first is a warm-up
                feedback.forget(db)
                bodies = feedback.webhooks(chosen, each)
                lines.texts.clear()
                before_s = cpu_s()
                feedback.deliver(runtime, db, bodies, len(chosen))
                used_s = cpu_s() - before_s
            used_s += WEBHOOK_CPU_MS / 1_000 * len(bodies)
            counted = _each(of_webhooks(len(bodies)), len(bodies))
            yield share(name, lines, used_s, bodies, _largest(FEEDBACK), **counted)


def _largest(queue: Queue) -> int:
    """Return the messages of a full batch."""
    assert queue.batch is not None
    return queue.batch.size


def _each(counted: Operations, messages: int) -> dict[str, float]:
    return {name: count / messages for name, count in vars(counted).items()}


def _reference() -> Body:
    data = {"organizationId": str(uuid4()), "messageId": str(uuid4())}
    return {"type": "delivery.send-email", "data": data}


def _whole(organization_id: Any, contact_id: Any) -> Body:
    data = {
        "organizationId": str(organization_id),
        "idempotencyKey": str(uuid4()),
        "contactId": str(contact_id),
        "templateId": str(organization_id),
        "class": "transactional",
    }
    return {"type": "delivery.send-email", "data": data}
