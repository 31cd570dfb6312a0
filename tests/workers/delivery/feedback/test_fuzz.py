"""Strange webhooks, from the hooks worker's handler to their end at the feedback consumer."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from tests.fake_r2 import FakeR2
from tests.thorough import THOROUGH
from tests.workers.delivery.feedback import published
from tests.workers.delivery.feedback.hooks import (
    POSTMARK,
    answers,
    deliver,
    letters,
    postmark,
    webhook,
)
from tests.workers.delivery.feedback.strange import CANARY, SIGN, Stranger
from tests.workers.delivery.feedback.test_reading import PROVIDERS, RECEIVED, ready, sent_messages
from tests.workers.delivery.stage import Stage, org
from tests.workers.hooks.internet import Internet, hook_url

__all__ = ["ready"]  # a fixture

SEED = 20260310
REQUESTS = 10_000 if THOROUGH else 40
BATCH = 50
MESSAGES = 8
STATE = (
    "select id, organization_id, state, reason, delivered_at, bounced_at, bounce_kind,"
    " complained_at, unsubscribed_at, opened_at, clicked_at, failed_at"
    " from delivery.messages order by id",
    "select organization_id, event_id, message_id, event_type, occurred_at"
    " from delivery.delivery_events order by 1, 2",
    "select organization_id, event_id, event_type, occurred_at from analytics.contact_activity"
    " order by 1, 2",
    "select organization_id, channel, address, reason, scope from delivery.suppressions"
    " order by 1, 2, 3, 5",
    "select id, status from crm.contacts order by id",
    "select provider_config_id, event_id from delivery.unmatched_events order by 1, 2",
)


@pytest.fixture
def foreign(ready: Stage) -> UUID:
    """A message of another organization."""
    ready.organization(2)
    ready.contact(900, organization=2)
    config = ready.config(2)
    message = ready.message(900, organization=2)
    ready.db.execute(
        "update delivery.messages set state = 'sent', attempts = 1, called_at = :now,"
        " sent_at = :now, finished_at = :now, provider_config_id = :config,"
        " address = 'p900@people.example', provider_message_id = :theirs where id = :id",
        id=message, now=RECEIVED, config=config, theirs=str(message),
    )  # fmt: skip
    return message


@pytest.fixture
def internet(ready: Stage) -> Iterator[Internet]:
    """The hooks worker in front of the bucket that the consumer reads."""
    found = Internet(now=RECEIVED)
    bucket = FakeR2(lambda: found.now)
    found.bucket = ready.outside.buckets["INBOX_R2"] = bucket
    yield found
    assert {event["event"] for event in found.events} <= {"hooks.limited", "hooks.not_queued"}
    assert CANARY not in json.dumps(found.events, default=str)


def state(stage: Stage) -> list[Any]:
    """All that events change. Each time is one that Python can read."""
    found = [stage.db.rows(sql) for sql in STATE]
    times = [row["occurred_at"] for rows in found for row in rows if "occurred_at" in row]
    assert all(isinstance(time, datetime) and time <= stage.clock() for time in times)
    return found


def ends(stage: Stage, bodies: list[dict[str, Any]]) -> Counter[str | None]:
    """Deliver the queue's messages in batches; return how many are acked."""
    found: Counter[str | None] = Counter()
    for start in range(0, len(bodies), BATCH):
        found.update(answers(deliver(stage, *bodies[start : start + BATCH])))
    return found


def check(stage: Stage, bodies: list[dict[str, Any]], foreign: UUID, reasons: set[str]) -> None:
    """Each message ends at once, and the same way again in another order. What is applied is
    applied once, and reaches no other organization.
    """
    before = stage.row(foreign)
    assert ends(stage, bodies) == {"ack": len(bodies)}
    first = letters(stage)
    assert [own for own in first if own[0] not in reasons] == []
    once = state(stage)
    again = list(bodies)
    random.Random(SEED).shuffle(again)
    stage.outside.points.clear()
    assert ends(stage, again) == {"ack": len(bodies)}
    assert sorted(letters(stage)[len(first) :]) == sorted(first)
    assert state(stage) == once
    assert stage.row(foreign) == before
    [own] = stage.db.rows(
        "select count(*) as n from delivery.delivery_events where organization_id <> :own",
        own=org(),
    )
    assert own["n"] == 0
    logged = json.dumps(stage.outside.events, default=str)
    assert CANARY not in logged
    assert not re.search(r"people\.example|mail\.example|\+1415", logged)
    assert stage.outside.named("job.crashed") == []


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("name", SIGN)
def test_each_strange_webhook_has_an_end(
    name: str, ready: Stage, foreign: UUID, internet: Internet
) -> None:
    rng, provider = random.Random(f"{SEED}{name}"), PROVIDERS[name]
    config = ready.config(1, name, provider.channel, provider.secrets)
    messages = sent_messages(ready, config, provider.channel, MESSAGES)
    stranger = Stranger(rng, name, config, [*messages, foreign])
    statuses: Counter[int] = Counter()
    for _ in range(REQUESTS):
        url, made = stranger.request(stranger.record(provider.examples), internet.now)
        internet.random = rng.random()
        answer = internet.request("POST", url, made.body, made.headers)
        assert not answer.body
        statuses[answer.status] += 1
        internet.advance(seconds=0.01)
    assert statuses.keys() <= {200, 400, 404, 413}
    assert statuses[200] == len(internet.sent) > REQUESTS * 0.6
    ready.outside.now = internet.now
    check(ready, internet.sent, foreign, {"bad_signature", "unknown_config"})
    assert len(letters(ready)) < 1.5 * REQUESTS  # of two deliveries: many are signed
    [recorded] = ready.db.rows("select count(*) as n from delivery.delivery_events")
    assert recorded["n"] > 0


def test_each_strange_event_of_cloudflare_has_an_end(ready: Stage, foreign: UUID) -> None:
    """Those that are no event of it are dead letters."""
    rng = random.Random(f"{SEED}cloudflare")
    config = ready.config(1, "cloudflare", "email", {})
    messages = sent_messages(ready, config, "email", MESSAGES)
    stranger = Stranger(rng, "cloudflare", config, [*messages, foreign])
    bodies = [stranger.record(published.CLOUDFLARE) for _ in range(REQUESTS)]
    check(ready, bodies, foreign, {"invalid", "unknown_type"})


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_outside_the_calendar_is_that_of_the_webhook(time: str, ready: Stage) -> None:
    """Postgres would store it, but Python cannot read it."""
    config, cloudflare = ready.config(1, secrets=POSTMARK), ready.config(1, "cloudflare")
    [message, theirs] = sent_messages(ready, config, "email", 2)
    ready.db.execute(
        "update delivery.messages set provider_config_id = :config where id = :id",
        config=cloudflare, id=theirs,
    )  # fmt: skip
    event = published.CLOUDFLARE[0][0](str(theirs))
    event["metadata"]["eventTimestamp"] = time
    body = webhook(config, postmark("Delivery", message, DeliveredAt=time), RECEIVED)
    assert answers(deliver(ready, body, event)) == ["ack", "ack"]
    assert letters(ready) == []
    found = ready.db.rows("select occurred_at from delivery.delivery_events")
    assert found == [{"occurred_at": RECEIVED}] * 2


def test_what_is_not_kept_is_not_accepted(internet: Internet) -> None:
    """What the queue or the bucket does not have is not answered with 200."""
    assert internet.queue is not None
    url, kept = hook_url("postmark"), len(internet.sent)
    internet.queue.broken = RuntimeError("overloaded")
    assert internet.post(url, b"{}").status == 503
    internet.queue.broken = None
    internet.bucket.faults = lambda operation, key: "500"
    assert internet.post(url, b"x" * 200_000).status == 503
    assert internet.post(url, b"x" * 1_000_001).status == 413
    assert len(internet.sent) == kept
