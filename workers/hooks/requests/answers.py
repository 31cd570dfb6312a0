"""Answers without a text, and the step that both kinds of POST share: the queue."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from hooks.domain.limits import REPORTS, Limits
from shared.errors import error_class
from shared.inbox import FEEDBACK_BINDING
from shared.ports import WebPorts, WebResponse
from shared.telemetry.redaction import describe_error

STORE_TIMEOUT_S = 10  # of the queue, and of the bucket
BODY_TIMEOUT_S = 10
PLAIN = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

ACCEPTED = WebResponse(200, headers=PLAIN)
UNUSABLE = WebResponse(400, headers=PLAIN)
NOT_FOUND = WebResponse(404, headers=PLAIN)
TOO_MANY = WebResponse(429, headers={**PLAIN, "retry-after": "10"})
UNAVAILABLE = WebResponse(503, headers={**PLAIN, "retry-after": "30"})


def not_configured(name: str, ports: WebPorts, limits: Limits) -> WebResponse:
    """Report a missing key, at most once a minute. The caller tries again."""
    if limits.allows(name, REPORTS, ports.clock()):
        ports.log("hooks.not_configured", level="error", reason=name)
    return UNAVAILABLE


def too_many(key: UUID, kind: str, ports: WebPorts, limits: Limits) -> WebResponse:
    """Report a flood, at most once a minute for each config or message."""
    if limits.allows(key, REPORTS, ports.clock()):
        ports.log("hooks.limited", level="warning", type=kind, reason=str(key))
    return TOO_MANY


async def enqueue(message: dict[str, Any], ports: WebPorts) -> bool:
    """Send a message to the feedback queue; return False if the queue does not have it."""
    producer = ports.producer(FEEDBACK_BINDING)
    if producer is None:
        ports.log("hooks.not_queued", level="error", type=message["type"], reason=FEEDBACK_BINDING)
        return False
    try:
        async with asyncio.timeout(STORE_TIMEOUT_S):
            await producer.send([message])
    except Exception as error:  # whatever it is, the caller must not hear that it was accepted
        report(message["type"], error, ports)
        return False
    return True


def report(kind: str, error: Exception, ports: WebPorts) -> None:
    """Log that a request was not kept."""
    ports.log(
        "hooks.not_queued",
        level="error",
        type=kind,
        error_class=error_class(error),
        error=describe_error(error),
    )
