"""Run work concurrently in one invocation, each lane on its own connection.

While one lane waits for its database, the others continue: the runtime suspends the call that waits
for a socket, and not the interpreter.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from dataclasses import replace
from typing import TypeVar

from shared.errors import DatabaseError, DatabaseUnreachable
from shared.ports import Database, Ports

T = TypeVar("T")


async def run_concurrently(
    work: Iterable[T], do: Callable[[T, Ports], Awaitable[None]], ports: Ports, lanes_max: int
) -> None:
    """Run `do` for all work, started in order; one after the other if `ports` cannot open another
    connection, or the database accepts none. An error ends the other lanes too.

    `lanes_max` is the number of connections that the invocation may hold: see Queue.
    """
    waiting = deque(work)
    further = min(len(waiting), lanes_max) - 1

    async def lane(own: Ports) -> None:
        while waiting:
            await do(waiting.popleft(), own)

    if ports.connect is None or further < 1:
        await lane(ports)
        return

    async def further_lane(connect: Callable[[], Database]) -> None:
        with closing(connect()) as db:
            try:
                db.open()
            except (DatabaseUnreachable, DatabaseError):
                return  # no work was taken yet: the first lane does it all
            await lane(replace(ports, db=db))

    async with asyncio.TaskGroup() as lanes:
        tasks = [lanes.create_task(lane(ports))]
        tasks += [lanes.create_task(further_lane(ports.connect)) for _ in range(further)]
    for task in tasks:
        task.result()  # raises for a cancelled lane, which the group treats as a normal end
