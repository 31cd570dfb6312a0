"""A Producer over a queue binding, within the platform's limits of a call."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from shared.errors import QueueUnavailable

# https://developers.cloudflare.com/queues/platform/limits/
BATCH_MESSAGES_MAX = 100
BATCH_BYTES_MAX = 256_000
OVERHEAD_BYTES = 100  # about as much as the platform counts a message beyond its body


class BoundQueue:
    """Sends JSON messages through a binding that has `sendBatch`."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding

    async def send(self, bodies: Sequence[dict[str, Any]], delay_s: int = 0) -> None:
        for part in cut(bodies):
            messages = [
                {"body": body, "contentType": "json", "delaySeconds": delay_s} for body in part
            ]
            try:
                await self._binding.sendBatch(messages)
            except Exception as error:  # a JsException, whose class the host does not have
                raise QueueUnavailable(str(error)) from error


def cut(bodies: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The bodies in order, in parts that one call may carry."""
    part: list[dict[str, Any]] = []
    room_bytes = BATCH_BYTES_MAX
    for body in bodies:
        size_bytes = len(json.dumps(body).encode()) + OVERHEAD_BYTES
        if part and (len(part) == BATCH_MESSAGES_MAX or size_bytes > room_bytes):
            yield part
            part, room_bytes = [], BATCH_BYTES_MAX
        part.append(body)
        room_bytes -= size_bytes
    if part:
        yield part
