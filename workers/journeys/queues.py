"""The queue of the worker."""

from shared import Batch, Queue

EVENTS_QUEUE = Queue(
    "mauntic-journey-events",
    binding="JOURNEY_EVENTS",
    max_retries=3,
    max_concurrency=4,
    connections=2,
    batch=Batch(100, 1),
)
