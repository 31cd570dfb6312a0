"""A provider's webhook: kept as it came, and answered when the queue has it."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

from hooks.domain.limits import WEBHOOKS, Limits
from hooks.domain.paths import HookPath
from hooks.domain.provider_headers import HEADERS, UnusableHeader, forwarded
from hooks.requests.answers import (
    ACCEPTED,
    BODY_TIMEOUT_S,
    NOT_FOUND,
    STORE_TIMEOUT_S,
    UNAVAILABLE,
    UNUSABLE,
    enqueue,
    not_configured,
    report,
    too_many,
)
from shared import hook_token
from shared.inbox import (
    BODY_BYTES_MAX,
    INBOX,
    MESSAGE_BODY_BYTES_MAX,
    MESSAGE_CHARS_MAX,
    encoded,
)
from shared.ports import WebPorts, WebRequest, WebResponse

TYPE = "delivery.ProviderEvents"
RANDOM_BITS = 52


async def receive(
    request: WebRequest, path: HookPath, ports: WebPorts, limits: Limits
) -> WebResponse:
    """Pass a webhook to the feedback queue. Its body is read only if the token is right."""
    keys = hook_token.keys_of(ports.settings.get("HOOK_KEYS"))
    if path.provider not in HEADERS:
        return NOT_FOUND
    if not keys:
        return not_configured("HOOK_KEYS", ports, limits)
    if not hook_token.verify(path.token, path.config_id, keys):
        return NOT_FOUND
    now = ports.clock()
    if not limits.allows(path.config_id, WEBHOOKS, now):
        return too_many(path.config_id, TYPE, ports, limits)
    try:
        headers = forwarded(path.provider, request.headers)
    except UnusableHeader:
        return UNUSABLE
    body = await request.read(BODY_BYTES_MAX, BODY_TIMEOUT_S)
    data = {
        "providerConfigId": str(path.config_id),
        "provider": path.provider,
        "url": request.url,
        "headers": headers,
        "receivedAt": now.isoformat(),
    }
    message = await _with_body(data, body, path, ports, now)
    is_kept = message is not None and await enqueue(message, ports)
    return ACCEPTED if is_kept else UNAVAILABLE


async def _with_body(
    data: dict[str, Any], body: bytes, path: HookPath, ports: WebPorts, now: datetime
) -> dict[str, Any] | None:
    """Return the message; a large body is an object. None if the bucket does not have it."""
    text = encoded(body)
    if len(body) <= MESSAGE_BODY_BYTES_MAX:
        message = {"type": TYPE, "data": {**data, "body": text}}
        if len(json.dumps(message)) <= MESSAGE_CHARS_MAX:
            return message
    number = int(ports.random() * 2**RANDOM_BITS)
    key = f"{now:%Y-%m-%d}/{path.config_id}/{now:%H%M%S%f}-{number:013x}"
    try:
        async with asyncio.timeout(STORE_TIMEOUT_S):
            await ports.bucket(INBOX.binding).put(key, text)
    except Exception as error:  # whatever it is, the caller must not hear that it was accepted
        report(TYPE, error, ports)
        return None
    return {"type": TYPE, "data": {**data, "object": key}}
