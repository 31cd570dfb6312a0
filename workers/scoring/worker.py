"""The worker's declaration: its queues, its gate, and the jobs in `jobs/`."""

from scoring.outbox import CROSSINGS, publish_after_batch
from shared import Queue, Worker, discover

WORKER = Worker(
    name="mauntic-scoring-queue",
    env="scoring",
    queues=[Queue("mauntic-scoring-events", binding="EVENTS", max_retries=3)],
    gate="ENABLE_SCORING_CRON",
    jobs=discover("scoring.jobs"),
    after_batch=publish_after_batch,
    bindings=(CROSSINGS,),
)
