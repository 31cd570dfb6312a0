"""What `mauntic check` looks at, a module an area. Each finds every problem it can."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, and what to do about it in the same sentence."""

    area: str
    subject: str
    problem: str
