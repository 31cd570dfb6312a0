"""What an operator must act on: an event with a fixed name in the log, and a post to a webhook."""

from __future__ import annotations

import asyncio
from typing import Any

from shared.ports import Ports
from shared.sanitize import visible
from shared.telemetry.log import Level

WEBHOOK_TIMEOUT_S = 10  # an invocation has better things to do than to wait for a dead webhook


async def send(
    event: str, ports: Ports, *, level: Level = "error", post: bool = True, **fields: Any
) -> None:
    """Log the event and post it, if `ALERT_WEBHOOK_URL` is set. Never raises."""
    ports.log(event, level=level, **fields)
    url = ports.settings.alert_webhook_url
    if url is None or not post:
        return
    payload = {"event": event, **{name: _plain(value) for name, value in fields.items()}}
    try:
        async with asyncio.timeout(WEBHOOK_TIMEOUT_S):
            status = await ports.http.post_json(url, payload)
        problem = None if status < 300 else f"the webhook answered {status}"
    except Exception as error:  # whatever the network did, the work goes on
        problem = f"the webhook did not answer: {type(error).__name__}"
    if problem:
        ports.log("notify.delivery_failed", level="error", reason=event, error=problem)


def _plain(value: Any) -> Any:
    """The value as JSON has it; of a text, what a terminal would obey is shown."""
    return value if value is None or isinstance(value, int | float) else visible(str(value))
