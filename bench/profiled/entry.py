"""The scoring worker with timers at its borders, for the parts of a batch's time.

`bench/profiled/__init__.py` bundles it instead of the worker's entry, which is next to it as
`worker_entry`. After a number of batches it prints the milliseconds per batch of each part.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import worker_entry  # type: ignore[import-not-found]  # it is there in the bundle alone

from scoring.store import statements
from shared.adapters import cloudflare
from shared.adapters.deliveries import QueueDelivery
from shared.adapters.postgres.client import Postgres
from shared.flow import consume, settle

BATCHES = 10

_spent_s: defaultdict[str, float] = defaultdict(float)
# The active parts of this task, the innermost last.
_open: ContextVar[tuple[str, ...]] = ContextVar("open", default=())


def _part_of(name: str, owner: Any, attribute: str) -> None:
    """Add the time of a function to `name`, without the time of parts within it.

    While it waits for Postgres, another batch may do its work after the answer.
    """
    function: Callable[..., Any] = getattr(owner, attribute)

    def timed(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        token = _open.set((*_open.get(), name))
        try:
            return function(*args, **kwargs)
        finally:
            _open.reset(token)
            spent_s = time.perf_counter() - started
            _spent_s[name] += spent_s
            if around := _open.get():
                _spent_s[around[-1]] -= spent_s

    setattr(owner, attribute, timed)


for name, owner, attribute in (
    ("reading the batch", cloudflare, "QueueBatch"),
    ("parsing and validating", consume, "read"),
    ("connecting", cloudflare, "_connect"),
    ("SQL: begin, commit", Postgres, "execute"),
    ("SQL: asking", statements, "request_contacts"),
    ("SQL: scoring", statements, "score_contacts"),
    ("answering the queue", QueueDelivery, "ack"),
    ("afterwards: crossings", statements, "count_crossings"),
    ("afterwards: points and lines", settle.Invocation, "flush_metrics"),
    ("afterwards: closing", Postgres, "close"),
):
    _part_of(name, owner, attribute)


class Default(worker_entry.Default):  # type: ignore[misc]
    """The worker's entry, timed."""

    async def queue(self, batch: Any, env: None = None, ctx: None = None) -> None:
        started = time.perf_counter()
        await super().queue(batch, env, ctx)
        _spent_s["all"] += time.perf_counter() - started
        _spent_s["batches"] += 1
        if _spent_s["batches"] == BATCHES:
            _tell()


def _tell() -> None:
    parts = {name: spent_s * 1_000 / BATCHES for name, spent_s in _spent_s.items()}
    del parts["batches"]
    _spent_s.clear()
    print(json.dumps({"event": "bench.parts", "parts": parts}), flush=True)
