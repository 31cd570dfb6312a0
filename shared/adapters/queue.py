"""A Producer over a queue binding, within the limits of a call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from shared.errors import QueueUnavailable
from shared.ports import Backlog

# https://developers.cloudflare.com/queues/platform/limits/
BATCH_MESSAGES_MAX = 100
BATCH_BYTES_MAX = 256_000
BACKLOG_TIMEOUT_S = 5
OVERHEAD_BYTES = 100  # approximately what the platform counts per message in addition to its body


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

    async def backlog(self) -> Backlog | None:
        try:
            async with asyncio.timeout(BACKLOG_TIMEOUT_S):
                return read_backlog(await self._binding.metrics())
        except Exception:  # an older runtime has no metrics, and no caller depends on them
            return None


def cut(bodies: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield the bodies in order, in lists that fit into one call."""
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


def read_backlog(metrics: Any) -> Backlog:
    """Read the result of `metrics`, an object or a dict.

    The time of the oldest message is a date or milliseconds; it is absent or 0 for an empty queue.

    >>> str(read_backlog({"backlogCount": 2, "oldestMessageTimestamp": 90_000}).oldest_at)
    '1970-01-01 00:01:30+00:00'
    >>> read_backlog({"backlogCount": 0, "backlogBytes": 0, "oldestMessageTimestamp": 0})
    Backlog(count=0, bytes=0, oldest_at=None)
    """
    read = metrics.get if isinstance(metrics, dict) else partial(getattr, metrics)
    count, size = (int(read(name, 0)) for name in ("backlogCount", "backlogBytes"))
    oldest = read("oldestMessageTimestamp", None)
    return Backlog(count, size, _moment(oldest) if oldest and count else None)


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)
    if not isinstance(value, int | float):
        value = value.getTime()  # JavaScript's Date
    return datetime.fromtimestamp(value / 1_000, UTC)
