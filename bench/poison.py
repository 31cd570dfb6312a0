"""Reading the worst bodies that a queue accepts, compared with a plain parser on as many bytes."""

from __future__ import annotations

import json
from functools import partial
from types import SimpleNamespace
from typing import Any

from analytics.worker import WORKER
from bench.measure import Result, alternate, stopwatch
from bench.world import World
from shared.adapters.deliveries import QueueBatch
from shared.body_limits import BODY_CHARS_MAX, kept_part
from shared.flow.parse import read
from tests.poison import MESSAGE_CHARS, POISON

BATCH = 100
ROUNDS = 3
# The largest body is not parsed. The largest parsed body is scanned for its depth, parsed up to
# four times (read, its job, its dead letter, its digest), and measured.
AT_MOST = {MESSAGE_CHARS: 2.0, BODY_CHARS_MAX: 100.0}
SENT_AT = SimpleNamespace(toISOString=lambda: "2026-03-10T11:00:05.250Z")


class Texts:
    """The JavaScript side: each body's JSON is given, and no batch is small enough to be read
    together.
    """

    def stringify(self, value: Any) -> str | None:
        return str(value)

    def stringify_all(self, messages: Any, start: int, stop: int, bytes_max: int) -> str | None:
        return None


def run(world: World) -> list[Result]:
    """Measure the slowest body of each size, as text and as JSON: read, refused and kept as a
    batch.
    """
    return [_worst(size_chars, at_most) for size_chars, at_most in AT_MOST.items()]


def _worst(size_chars: int, at_most: float) -> Result:
    texts = {name: _as_json(poison(size_chars)) for name, poison in POISON.items()}
    taken_ms = {name: stopwatch(partial(_read, text, 5)) for name, text in texts.items()}
    worst = max(taken_ms, key=lambda name: taken_ms[name])
    document = json.dumps([{"n": n, "text": "abc"} for n in range(size_chars // 24)])
    measured = alternate(
        {
            "ours": lambda: stopwatch(lambda: _read(texts[worst], BATCH)),
            "reference": lambda: stopwatch(lambda: [json.loads(document) for _ in range(BATCH)]),
        },
        ROUNDS,
    )
    return Result(
        f"{BATCH} bodies of {size_chars:,} characters",
        measured["ours"],
        measured["reference"],
        at_most,
        f"the worst of {len(texts)} kinds: {worst}; the reference is json.loads of plain objects",
    )


def _as_json(text: str) -> str:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return json.dumps(text)
    return text


def _read(text: str, count: int) -> None:
    messages = [
        SimpleNamespace(id=f"m{n}", attempts=1, timestamp=SENT_AT, body=text) for n in range(count)
    ]
    batch = SimpleNamespace(queue="q", _binding=SimpleNamespace(messages=messages))
    for delivery in QueueBatch(batch, Texts(), of_dead_letters=False):
        read(delivery, WORKER, WORKER.main_queue)
        kept_part(delivery.body)
