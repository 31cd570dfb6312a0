"""A queue of a worker, from its consumer's view."""

from __future__ import annotations

from dataclasses import dataclass

from shared.jobs import Worker
from shared.queues import Queue


@dataclass(frozen=True)
class Intake:
    """The queue whose messages, or dead letters, an invocation consumes."""

    worker: Worker
    queue: Queue

    @classmethod
    def of(cls, worker: Worker, batch_queue: str) -> Intake:
        """Return the intake of the queue, or dead-letter queue, that a batch came from."""
        return cls(worker, worker.queue_named(batch_queue))
