"""The expected outcomes of a message. An exception is unexpected and not one of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

# The reasons of dead letters, which operators read and filter by. docs/operations.md has the
# remedies.
Reason = Literal[
    "invalid",
    "unknown_type",
    "exhausted",
    "failed",
    "unknown_contact",
    "too_early",
    "wrong_queue",
    "unknown_message",
    "unknown_config",
    "bad_signature",
    "unknown_campaign",
    "unknown_journey",
    "step_failed",
]


@dataclass(frozen=True)
class Done:
    """The work is done. Row counts are informational; -1 means unknown."""

    rows_read: int = 0
    rows_written: int = 0
    organization_id: str | None = None


@dataclass(frozen=True)
class Sharded:
    """The work was too large for one message: each of these `data` parts becomes a message."""

    shards: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class RetryIn:
    """Try again in `delay_s` seconds (0 to 86,400)."""

    delay_s: int
    error_class: str
    error_text: str


@dataclass(frozen=True)
class Dead:
    """Do not try again: the message becomes a dead letter with this reason."""

    reason: Reason
    error_class: str
    error_text: str


Outcome = Done | Sharded | RetryIn | Dead
