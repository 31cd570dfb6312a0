"""The worker's declaration: a queue, a bucket and two keys. It has no database and no secret of a
provider.
"""

from __future__ import annotations

from hooks.domain.limits import Limits
from hooks.requests.routes import route
from shared.bindings import Secret, WorkerQueue
from shared.inbox import FEEDBACK_BINDING, FEEDBACK_QUEUE, INBOX
from shared.ports import WebPorts, WebRequest, WebResponse
from shared.web import WebWorker

WORKER = WebWorker(
    name="mauntic-delivery-hooks",
    env="hooks",
    address="HOOKS_BASE_URL",
    bindings=(
        WorkerQueue(FEEDBACK_BINDING, FEEDBACK_QUEUE),
        INBOX,
        Secret("HOOK_KEYS", is_generated=True),
        Secret("UNSUBSCRIBE_KEYS", is_generated=True),
    ),
)
LIMITS = Limits()  # for the life of the isolate


async def answer(request: WebRequest, ports: WebPorts) -> WebResponse:
    """Answer a request of the internet."""
    return await route(request, ports, LIMITS)
