"""What an operator must act on: an event with a fixed name in the log, and a post to his webhook."""

from __future__ import annotations

from typing import Any

from shared.ports import Ports


async def send(event: str, ports: Ports, **fields: Any) -> None:
    """Log the event as an error and post it, if `ALERT_WEBHOOK_URL` is set. Never raises."""
    ports.log(event, level="error", **fields)
    url = ports.settings.alert_webhook_url
    if url is None:
        return
    try:
        status = await ports.http.post_json(url, {"event": event, **{k: _plain(v) for k, v in fields.items()}})
        problem = None if status < 300 else f"the webhook answered {status}"
    except Exception as error:  # whatever the network did, the work goes on
        problem = f"the webhook did not answer: {type(error).__name__}"
    if problem:
        ports.log("alert.undelivered", level="error", reason=event, error=problem)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
