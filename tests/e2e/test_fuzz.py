"""Random bodies, ten thousand of them in `make thorough`: each is answered."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import pytest

from analytics.worker import WORKER
from tests.e2e.sabotage import Sabotaged
from tests.e2e.system import DAY, QUEUE, System
from tests.poison import POISON
from tests.thorough import THOROUGH

pytestmark = pytest.mark.e2e

BODIES = 10_000 if THOROUGH else 1_000
WAVE = 1_000
TYPES: list[Any] = [
    *WORKER.by_type,
    "analytics.nobody",
    "",
    None,
    7,
    [],
    {},
    "ANALYTICS.AGGREGATE-HOURLY",
]
# Valid messages are run: usually a cheap job.
GOOD_TYPES = ["analytics.aggregate-hourly", *["analytics.reset-warmup-daily"] * 5]
TEXTS = [
    "",
    "x" * 5_000,
    "\0",
    "\ud800",
    "é" * 50,
    "\N{PILE OF POO}",
    "\u202e",
    "null",
    "-1",
    "\x7f",
]
NUMBERS = [0, -1, 2**53 + 1, -(2**63), 1e308, -0.0, 1e-320, 2**31, 3.5]
TIMES = ["2026-03-10T11:00:00Z", "2026-03-10", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
         "2026-13-01T00:00:00Z", "2026-03-10T11:00:00", "2026-03-10T11:00:00+14:00",
         1773136800, True]  # fmt: skip


def value(rng: random.Random, depth: int = 3) -> Any:
    """Any JSON, usually small."""
    kinds = 5 if depth == 0 else 7
    match rng.randrange(kinds):
        case 0:
            return rng.choice(TEXTS)
        case 1 | 2:
            return rng.choice(NUMBERS)
        case 3:
            return rng.choice([None, True, False])
        case 4:
            return "".join(chr(rng.randrange(0x2_FFFF)) for _ in range(rng.randrange(20)))
        case 5:
            return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
        case _:
            return {str(rng.choice(TEXTS)): value(rng, depth - 1) for _ in range(rng.randrange(4))}


def nested(depth: int, opening: str = "[", closing: str = "]") -> Any:
    return json.loads(opening * depth + closing * depth)


def body(rng: random.Random) -> Any:
    """A body: random, a message with an error, or a nearly valid message."""
    hour = (DAY + timedelta(hours=rng.randrange(1, 25))).isoformat()
    good = {"type": rng.choice(GOOD_TYPES), "scheduledFor": hour}
    match rng.randrange(14):
        case 0:
            return value(rng)
        case 1:
            return {"type": rng.choice(TYPES)}
        case 2:
            return good | {"scheduledFor": rng.choice(TIMES)}
        case 3:
            return good | {"data": value(rng)}
        case 4:
            return good | {rng.choice(["correlationId", "trigger", "extra"]): value(rng)}
        case 5:
            return json.dumps(good)[: rng.randrange(80)]
        case 6:
            return json.dumps(good | {"extra": value(rng)})
        case 7:
            return good | {"extra": "x" * rng.choice([1_000, 20_000])}
        case 8:
            return good | {"deep": nested(rng.choice([5, 63, 64, 65, 200, 900]))}
        case 9:
            return rng.choice(
                ['{"a": NaN}', "[" * 5_000, "1" * 5_000, '{"type": 1e999}', "{}", "[]"]
            )
        case 10:
            return {"deadLetter": value(rng), "type": rng.choice(TYPES)}
        case 11:
            return POISON[rng.choice(list(POISON))](rng.choice([200, 2_000, 18_000]))
        case 12:
            envelope = {
                "queue": rng.choice([QUEUE, "mauntic-scoring-events"]), "messageId": "f00d",
                "jobType": rng.choice(TYPES), "body": value(rng), "reason": "x", "error": "\x1b[2J",
                "attempts": 1, "deadAt": "2026-03-10T11:00:00Z",
            }  # fmt: skip
            return {"deadLetter": envelope}
        case _:
            return good | {"data": {"shard": {"index": value(rng), "of": value(rng)}}}


def send(system: System, bodies: list[Any]) -> None:
    """As ASCII, which can express what UTF-8 cannot."""
    messages = [{"body": one, "contentType": "json"} for one in bodies]
    answer = system.control.http.post(f"/queues/{QUEUE}/messages", content=json.dumps(messages))
    assert answer.json() == {"sent": len(bodies)}


@pytest.mark.timeout(1_800)
def test_each_random_body_is_answered(sabotaged: Sabotaged) -> None:
    """In the largest possible batches. (Nothing is sabotaged.)"""
    system = sabotaged.system
    rng = random.Random(20260310)
    started = len(system.control.metrics())
    for _ in range(BODIES // WAVE):
        for _ in range(WAVE // 100):
            send(system, [body(rng) for _ in range(100)])
        system.settle(300)
    points = [point["blobs"] for point in system.control.metrics()[started:]]
    settled = [blobs[3] for blobs in points]
    [kept] = system.rows("select count(*) as n from ops.dead_letters")
    assert settled.count("ack") + settled.count("dead") == BODIES
    assert kept["n"] == settled.count("dead") > BODIES / 3
    reasons = {row["reason"] for row in system.rows("select distinct reason from ops.dead_letters")}
    assert reasons <= {"invalid", "unknown_type", "too_early"}
    crashed = [event for event in system.events if "job.crashed" in str(event)]
    assert crashed == []
    statuses = {row["status"] for row in system.rows("select distinct status from ops.job_runs")}
    assert statuses == {"succeeded"}
