"""The worker's declaration: its queues, its gate, and the jobs in `jobs/`."""

from shared import Queue, Worker, discover

WORKER = Worker(
    name="mauntic-analytics-queue",
    env="analytics",
    queues=[Queue("mauntic-analytics-jobs", binding="ANALYTICS_JOBS", max_retries=5)],
    gate="ENABLE_ANALYTICS_CRON",
    jobs=discover("analytics.jobs"),
)
