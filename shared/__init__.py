"""The framework inside every worker, and the one import for job authors.

    from shared import Done, Run, Schedule, WindowJob, WindowMessage, hour_before

Names are imported at first use: most modules of `shared` are useful without pydantic, which takes
long to load.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.bindings import PlatformQueue, R2Bucket, Secret, Variable
    from shared.errors import DependencyNotReady, PermanentError
    from shared.jobs import BatchJob, DeadLetter, Job, MessageJob, Run, WindowJob, Worker, discover
    from shared.messages import Data, Message, Shard, WindowMessage
    from shared.outcome import Dead, Done, Outcome, RetryIn, Sharded
    from shared.ports import Bucket, Database, Ports, StoredObject
    from shared.queues import Batch, Queue
    from shared.windows import (
        Schedule,
        Window,
        day_before,
        five_minutes_before,
        hour_before,
        minute_before,
        month_before,
        quarter_hour_before,
    )

__all__ = [
    "Batch",
    "BatchJob",
    "Bucket",
    "Data",
    "Database",
    "Dead",
    "DeadLetter",
    "DependencyNotReady",
    "Done",
    "Job",
    "Message",
    "MessageJob",
    "Outcome",
    "PermanentError",
    "PlatformQueue",
    "Ports",
    "Queue",
    "R2Bucket",
    "RetryIn",
    "Run",
    "Schedule",
    "Secret",
    "Shard",
    "Sharded",
    "StoredObject",
    "Variable",
    "Window",
    "WindowJob",
    "WindowMessage",
    "Worker",
    "day_before",
    "discover",
    "five_minutes_before",
    "hour_before",
    "minute_before",
    "month_before",
    "quarter_hour_before",
]
PLACES = ("outcome", "windows", "messages", "jobs", "queues", "bindings", "errors", "ports")


def __getattr__(name: str) -> object:
    """Import a name of `__all__` from the module that defines it."""
    if name in __all__:
        for place in PLACES:
            found = vars(import_module(f"shared.{place}"))
            if name in found:
                globals()[name] = found[name]
                return found[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
