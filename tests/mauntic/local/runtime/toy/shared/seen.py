"""The events that the worker has seen: module globals persist from event to event."""

from typing import Any

batches: list[dict[str, Any]] = []
crons: list[dict[str, Any]] = []
instances: list[str] = []


def forget() -> None:
    batches.clear()
    crons.clear()
    instances.clear()
