"""What a kind of message uses, as measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """A kind of message as measured, each figure a message's share of its batch.

    `batch` is how many share an invocation.
    """

    name: str
    batch: float
    cpu_ms: float
    log_lines: float = 1
    log_bytes: float = 400
    message_bytes: int = 200
