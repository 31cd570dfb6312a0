"""The worker's declaration: its queue, its gate, and the jobs in `jobs/`."""

from scoring.outbox import publish
from shared import Queue, Worker, discover

WORKER = Worker(
    name="mauntic-scoring-queue",
    env="scoring",
    queue=Queue("mauntic-scoring-events", binding="EVENTS", max_retries=3),
    gate="ENABLE_SCORING_CRON",
    jobs=discover("scoring.jobs"),
    after_batch=publish,
)
