"""The measured usage of a kind of message."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """The usage of a kind of message, each figure a message's share.

    `batch` is the number of queue messages per invocation; `requests` are those of the internet.
    """

    name: str
    batch: float
    cpu_ms: float
    log_lines: float = 1
    log_bytes: float = 400
    message_bytes: int = 200
    queue_messages: float = 1
    points: float = 1
    requests: float = 0
    r2_writes: float = 0
    r2_reads: float = 0
