"""The measured usage of a kind of message."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """The usage of a kind of message, each figure a message's share of its batch.

    `batch` is the number of messages per invocation.
    """

    name: str
    batch: float
    cpu_ms: float
    log_lines: float = 1
    log_bytes: float = 400
    message_bytes: int = 200
