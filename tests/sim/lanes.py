"""Lanes: while one waits for its database, another continues.

In a worker the runtime suspends a call that waits for a socket. Here greenback suspends it, at
moments that the seed chooses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any

import greenback

PAUSES = (0, 0, 1, 3)  # how often the others get a turn after a statement
LOCK_TURNS_MAX = 200  # the longest wait of a lane for another's lock


def run_with_lanes(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine whose tasks may yield in the middle of a synchronous call."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_task_factory(_task_with_portal)
        # When an isolate dies, all of its lanes do: what the others would report has no reader.
        runner.get_loop().set_exception_handler(lambda *_: None)
        return runner.run(work)


def yield_after_statement(rng: Random) -> None:
    """Give the other lanes a random number of turns."""
    for _ in range(rng.choice(PAUSES)):
        yield_turn()


def yield_turn() -> None:
    """Give the other lanes one turn."""
    greenback.await_(asyncio.sleep(0))


def _task_with_portal(
    loop: asyncio.AbstractEventLoop, work: Any, **options: Any
) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
    greenback.bestow_portal(task)
    return task
