"""How the handling of a message can end. An exception is none of these: it is a surprise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

# Why a message died: what an operator reads, and chooses dead letters by. docs/operations.md says
# what to do about each.
Reason = Literal[
    "invalid",
    "unknown_type",
    "exhausted",
    "failed",
    "unknown_contact",
    "too_early",
    "wrong_queue",
    "unknown_message",
]


@dataclass(frozen=True)
class Done:
    """The work is done and may be acked. Rows are a number alone; -1 where nobody knows it."""

    rows_read: int = 0
    rows_written: int = 0
    organization_id: str | None = None


@dataclass(frozen=True)
class Sharded:
    """The work was too large for one message: these `data` parts are messages of their own."""

    shards: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class RetryIn:
    """To be tried again in `delay_s` seconds (0 to 86,400)."""

    delay_s: int
    error_class: str
    error_text: str


@dataclass(frozen=True)
class Dead:
    """Never to be tried again: a dead letter, with the reason that an operator will read."""

    reason: Reason
    error_class: str
    error_text: str


Outcome = Done | Sharded | RetryIn | Dead
