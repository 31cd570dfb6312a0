"""Alerts to operators: an event with a fixed name in the log, and a POST to a webhook."""

from __future__ import annotations

import json
from typing import Any

from shared.ports import Ports
from shared.sanitize import visible
from shared.telemetry.log import Level

WEBHOOK_TIMEOUT_S = 10


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
        response = await ports.http.request(
            "POST",
            url,
            {"content-type": "application/json"},
            json.dumps(payload).encode(),
            WEBHOOK_TIMEOUT_S,
        )
        problem = None if response.status < 300 else f"the webhook answered {response.status}"
    except Exception as error:  # an alert that is not delivered must not fail the work
        problem = f"the webhook did not answer: {type(error).__name__}"
    if problem:
        ports.log("notify.delivery_failed", level="error", reason=event, error=problem)


def _plain(value: Any) -> Any:
    """Return the value for JSON. In a text, characters that control a terminal are escaped."""
    return value if value is None or isinstance(value, int | float) else visible(str(value))
