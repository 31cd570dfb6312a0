"""The worker's declaration: its queue, its gate, and the jobs in `jobs/`."""

from journeys.outbox import EVENTS, publish_after_batch
from journeys.queues import EVENTS_QUEUE
from shared import Worker, discover

WORKER = Worker(
    name="mauntic-journey-queue",
    env="journeys",
    queues=[EVENTS_QUEUE],
    gate="ENABLE_JOURNEY_CRON",
    jobs=discover("journeys.jobs"),
    after_batch=publish_after_batch,
    bindings=(EVENTS,),
)
