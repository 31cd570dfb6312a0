"""The worker's declaration: its queues, its gate, and the jobs in `jobs/`."""

from delivery.domain.outgoing import Channel
from delivery.outbox import EVENTS, publish_after_batch
from delivery.queues import EMAIL, FEEDBACK, JOBS, PUSH, SMS
from delivery.sending.feeding import feed
from delivery.store.feeder import WORTH_A_LOOK
from shared import Ports, Queue, Worker, discover

CHANNELS: dict[str, Channel] = {EMAIL.name: "email", SMS.name: "sms", PUSH.name: "push"}


async def continue_after_batch(queue: Queue, ports: Ports) -> None:
    """Send the references that are next, now that batches of the channel are done; then the
    platform's events."""
    if queue.name in CHANNELS:
        await feed(CHANNELS[queue.name], ports, WORTH_A_LOOK)
    await publish_after_batch(queue, ports)


WORKER = Worker(
    name="mauntic-delivery-queue",
    env="delivery",
    queues=[JOBS, EMAIL, SMS, PUSH, FEEDBACK],
    gate="ENABLE_DELIVERY_CRON",
    jobs=discover("delivery.jobs"),
    after_batch=continue_after_batch,
    bindings=(EVENTS,),
)
