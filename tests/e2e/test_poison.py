"""The largest and worst batches that a queue can deliver, on the real runtime."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from analytics.worker import WORKER
from shared.body_limits import BODY_CHARS_MAX
from tests.e2e.sabotage import Sabotaged
from tests.e2e.system import QUEUE, System, hour, until
from tests.poison import MESSAGE_CHARS, POISON
from tests.thorough import THOROUGH

pytestmark = pytest.mark.e2e

BATCH = 100
DEAD_LETTERS = WORKER.main_queue.dead_letter_name
MEMORY_MAX_BYTES = 100 * 2**20
# An invocation may use 60 s of processor time (limits.cpu_ms in wrangler.toml).
BATCH_MAX_S = 30
WORST = ["many small arrays", "arrays of the greatest depth", "wide objects", "nul", "astral"]


def message(body: Any) -> dict[str, Any]:
    """Return a text as text: as JSON its escapes would exceed the queue's limit."""
    return {"body": body, "contentType": "text" if isinstance(body, str) else "json"}


def texts(size_chars: int) -> list[dict[str, Any]]:
    """Each kind of poison, sent as text."""
    return [message(poison(size_chars)) for poison in POISON.values()]


def values(size_chars: int) -> list[dict[str, Any]]:
    """Those that are JSON, sent as objects; the server's own parser accepts no deeper nesting."""
    found = []
    for name, poison in POISON.items():
        try:
            value = json.loads(poison(size_chars))
            json.dumps(value, allow_nan=False)
            found.append(message(value))
        except (ValueError, RecursionError):
            assert name not in WORST[:3]
    return found


def in_one_batch(system: System, queue: str, messages: Sequence[dict[str, Any]]) -> float:
    """Deliver them together, as far as the broker does, and return the seconds until all are
    settled. A pause holds the first ones back, so that the others gather behind them.
    """
    control = system.control
    control.ask("POST", f"/queues/{queue}/pause")
    control.send(queue, [{"type": "first"}])
    until(lambda: control.queues()[queue]["backlogBytes"] == 0)
    for start in range(0, len(messages), 20):
        portion = json.dumps(list(messages[start : start + 20]))
        answer = control.http.post(f"/queues/{queue}/messages", content=portion, timeout=60)
        assert answer.json() == {"sent": len(messages[start : start + 20])}, answer.text
    started = time.monotonic()
    control.ask("POST", f"/queues/{queue}/resume")
    system.settle(300)
    return time.monotonic() - started


def wasm_bytes(system: System) -> int:
    return int(system.control.memory()["workers"][WORKER.name]["wasmBytes"])


@pytest.mark.timeout(600)
def test_a_batch_of_every_kind_of_poison_harms_no_neighbor(sabotaged: Sabotaged) -> None:
    """As text and as JSON, at the queue's limit and at the parsing limit."""
    system = sabotaged.system
    for size_chars in (MESSAGE_CHARS - 1_000, BODY_CHARS_MAX - 100):
        for poison in (texts(size_chars), values(size_chars)):
            system.forget()
            system.add_events(9.1)
            half = len(poison) // 2
            good = [message(hour(10)), message(hour(11))]
            messages = [*poison[:half], good[0], *poison[half:], good[1]]
            took_s = in_one_batch(system, QUEUE, messages)
            assert took_s < BATCH_MAX_S
            assert system.statuses() == {"09": "succeeded", "10": "succeeded"}
            [letters] = system.rows("select count(*) as n from ops.dead_letters")
            assert letters["n"] == len(poison) + 1
            assert wasm_bytes(system) < MEMORY_MAX_BYTES
    assert system.control.reload(WORKER.name)  # the next test has its own interpreter


def largest_batches() -> dict[str, list[dict[str, Any]]]:
    """A hundred of the largest messages: of one kind in `make thorough`, else of all kinds."""
    largest = {name: POISON[name](MESSAGE_CHARS - 1_000) for name in WORST}
    messages = [
        message(json.loads(text) if name in WORST[:3] else text) for name, text in largest.items()
    ]
    if THOROUGH:
        return {name: [poison] * BATCH for name, poison in zip(WORST, messages, strict=True)}
    return {"all kinds": messages * (BATCH // len(messages))}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("queue", [QUEUE, DEAD_LETTERS])
def test_the_largest_batches_fit_into_an_isolate(sabotaged: Sabotaged, queue: str) -> None:
    """Of the kinds that grow most while they are read."""
    system = sabotaged.system
    system.control.reload(WORKER.name)
    for name, messages in largest_batches().items():
        assert len(messages) == BATCH
        system.forget()
        took_s = in_one_batch(system, queue, messages)
        print(
            f"{queue}: {name}: {took_s:.1f} s, {wasm_bytes(system) / 2**20:.0f} MB, "
            f"{system.control.memory()['processes']}"
        )
        [letters] = system.rows("select count(*) as n from ops.dead_letters")
        assert letters["n"] == BATCH + 1
        assert wasm_bytes(system) < MEMORY_MAX_BYTES
        assert took_s < 4 * BATCH_MAX_S  # it includes the broker's own work on such messages
