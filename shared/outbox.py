"""Events that are recorded with a change, and published after its transaction.

The row of an event and the change commit together, so a repeated statement records no second event.
Sending the event and deleting its row are two systems: if the isolate ends in between, the event is
sent again with the same `eventId`, by which consumers detect it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shared.bindings import PlatformQueue
from shared.ports import Database, Ports, Producer, Row

ROWS_A_TRANSACTION = 1_000
# Per invocation: half of the time that it may take after its answer. A message continues with the
# rest. https://developers.cloudflare.com/workers/runtime-apis/context/#waituntil
PUBLISHING_MAX = timedelta(seconds=15)
COUNTED_ROWS_MAX = 100_000


@dataclass(frozen=True)
class Outbox:
    """The rows of a worker's events, and the queue that receives them.

    `take` and `count` delete the oldest rows that no other transaction is publishing, at most so
    many. `take` returns them, and `messages_of` makes the messages of one. `count` returns their
    number, and counts for `report`, which logs one of them: no queue is bound.
    """

    queue: PlatformQueue
    has_events: Callable[[Database], bool]
    take: Callable[[Database, int], Sequence[Row]]
    messages_of: Callable[[Row], Iterable[dict[str, Any]]]
    count: Callable[[Database, int], tuple[int, Sequence[Mapping[str, Any]]]]
    report: Callable[[Mapping[str, Any], Ports], None]

    async def publish(self, ports: Ports, go_on: Callable[[], Awaitable[None]]) -> None:
        """Publish the events of earlier transactions; without a bound queue, log their counts.

        If the time is used up and rows may remain, `go_on` starts another invocation.
        """
        if not self.has_events(ports.db):
            return
        queue = ports.producer(self.queue.binding)
        end = ports.clock() + PUBLISHING_MAX
        while ports.clock() < end:
            is_done = await self._send(queue, ports) if queue else self._log(ports)
            if is_done:
                return
        await go_on()

    async def _send(self, queue: Producer, ports: Ports) -> bool:
        with ports.db.transaction():
            rows = self.take(ports.db, ROWS_A_TRANSACTION)
            await queue.send([message for row in rows for message in self.messages_of(row)])
        return len(rows) < ROWS_A_TRANSACTION

    def _log(self, ports: Ports) -> bool:
        with ports.db.transaction():
            taken, counts = self.count(ports.db, COUNTED_ROWS_MAX)
        for counted in counts:
            self.report(counted, ports)
        return taken < COUNTED_ROWS_MAX
