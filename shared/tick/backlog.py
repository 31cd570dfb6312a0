"""The queues that a tick sends to, and their backlogs."""

from __future__ import annotations

from collections.abc import Iterable

from shared.errors import QueueUnavailable
from shared.jobs import WindowJob, Worker
from shared.ports import Backlog, Ports, Producer
from shared.queues import Queue


def producer_of(queue: Queue, worker: Worker, ports: Ports) -> Producer:
    """Return the producer of a queue of the worker. Raises QueueUnavailable without its binding."""
    if queue.name == (ports.queue_name or worker.main_queue.name):
        return ports.queue
    producer = ports.producer(queue.binding)
    if producer is None:
        raise QueueUnavailable(f"there is no binding {queue.binding} for {queue.name}")
    return producer


async def backlog_of(jobs: Iterable[WindowJob], worker: Worker, ports: Ports) -> Backlog | None:
    """Return the total backlog of the queues of these jobs; None if one does not report it.

    The oldest message of all queues determines whether a message of any of them is known to be
    gone.
    """
    names = {worker.queue_of(job).name for job in jobs}
    queues = [queue for queue in worker.queues if queue.name in names]
    backlogs = [await producer_of(queue, worker, ports).backlog() for queue in queues]
    reported = [backlog for backlog in backlogs if backlog is not None]
    if len(reported) < len(backlogs):
        return None
    waiting = [backlog for backlog in reported if backlog.count]
    if not waiting:
        return Backlog(0, 0, None)
    dates = [backlog.oldest_at for backlog in waiting if backlog.oldest_at]
    return Backlog(
        count=sum(backlog.count for backlog in waiting),
        bytes=sum(backlog.bytes for backlog in waiting),
        oldest_at=min(dates) if len(dates) == len(waiting) else None,
    )
