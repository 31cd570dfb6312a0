"""The checks of `mauntic check`, one module per area."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """A problem: its place, and one sentence with cause and remedy."""

    area: str
    subject: str
    problem: str
