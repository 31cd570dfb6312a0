"""The queues of the worker: one for each channel, one for its own work, and one for feedback."""

from shared import Batch, Queue
from shared.body_limits import LARGE_BODY_CHARS_MAX
from shared.inbox import FEEDBACK_BINDING, FEEDBACK_QUEUE

# The sweep, the fan-out of campaigns and reconciliation.
JOBS = Queue(
    "mauntic-delivery-jobs",
    binding="DELIVERY_JOBS",
    max_retries=3,
    max_concurrency=2,
    batch=Batch(10, 0),
)
# Each consumer makes one call at a time, so a channel has as many calls at once as consumers. An
# e-mail call carries up to a batch of messages.
EMAIL = Queue(
    "mauntic-send-email",
    binding="SEND_EMAIL",
    max_retries=3,
    max_concurrency=5,
    connections=1,
    body_chars_max=LARGE_BODY_CHARS_MAX,
    batch=Batch(100, 1),
)
SMS = Queue(
    "mauntic-send-sms",
    binding="SEND_SMS",
    max_retries=3,
    max_concurrency=3,
    connections=1,
    body_chars_max=LARGE_BODY_CHARS_MAX,
    batch=Batch(10, 1),
)
PUSH = Queue(
    "mauntic-send-push",
    binding="SEND_PUSH",
    max_retries=3,
    max_concurrency=10,
    connections=1,
    body_chars_max=LARGE_BODY_CHARS_MAX,
    batch=Batch(10, 1),
)
# What providers report: webhooks, events of Cloudflare, and unsubscriptions.
FEEDBACK = Queue(
    FEEDBACK_QUEUE,
    binding=FEEDBACK_BINDING,
    max_retries=3,
    max_concurrency=3,
    connections=1,
    body_chars_max=LARGE_BODY_CHARS_MAX,
    batch=Batch(50, 1),
)
