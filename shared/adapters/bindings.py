"""Ports that read the worker's environment."""

from __future__ import annotations

from typing import Any

from shared.adapters.queue import BoundQueue
from shared.settings import Settings


def settings_of(env: Any) -> Settings:
    """Return the variables and secrets of a worker."""

    def get(name: str) -> str | None:
        value = getattr(env, name, None)
        return None if value is None else str(value)

    return Settings(get)


def producer_of(env: Any, binding: str) -> BoundQueue | None:
    """Return the queue with this binding; None if there is none."""
    queue = getattr(env, binding, None)
    return BoundQueue(queue) if queue is not None else None
