"""The worker's declaration: its queues, its gate, and the jobs in `jobs/`."""

from delivery.queues import EMAIL, JOBS, PUSH, SMS
from shared import Worker, discover

WORKER = Worker(
    name="mauntic-delivery-queue",
    env="delivery",
    queues=[JOBS, EMAIL, SMS, PUSH],
    gate="ENABLE_DELIVERY_CRON",
    jobs=discover("delivery.jobs"),
)
