"""What a log line may say of an error: nothing that a message or a row could have put into it.

Of an error that is not on the list the log has the class and the way it took through the code. Its
text stays in Postgres: with the run (`ops.job_runs`), with the failed attempt
(`ops.message_failures`), or with the dead letter (`ops.dead_letters`), where the message's body is.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from shared.error_text import error_text
from shared.errors import error_class
from shared.sanitize import visible

SAFE_TO_LOG = frozenset({
    # ours: sentences of our own, with ids at most
    "DatabaseError", "DatabaseUnreachable", "StorageError", "QueueUnavailable", "LeaseLost",
    "DependencyNotReady", "PermanentError",
    "InvalidBody", "UnknownType", "ValidationError", "UnknownContact", "Busy", "TooEarly",
    # the system's: addresses and limits
    "OSError", "ConnectionError", "ConnectionRefusedError", "ConnectionResetError",
    "BrokenPipeError", "TimeoutError", "InterfaceError", "MemoryError", "CpuLimitExceeded",
    # of the code's own names and types
    "AttributeError", "ImportError", "ModuleNotFoundError", "NameError", "NotImplementedError",
    "RecursionError", "TypeError",
})  # fmt: skip


def safe_text(kind: str, text: str) -> str | None:
    """The text of an error of that class, if the log may have it, fit for any terminal.

    >>> safe_text("DatabaseError:40P01", "deadlock"), safe_text("KeyError", "'eve@example.org'")
    ('deadlock', None)
    """
    return visible(text) if kind.partition(":")[0] in SAFE_TO_LOG else None


def describe_error(error: BaseException) -> str:
    """The error as the log may have it: its class, and its text if that is allowed."""
    kind = error_class(error)
    text = safe_text(kind, error_text(error))
    return f"{kind}: {text}" if text else kind


def safe_traceback(error: BaseException) -> str:
    """A traceback, earliest error first, without the texts that the log may not have."""
    return "\n".join(
        f"Traceback (most recent call last):\n{''.join(traceback.format_tb(one.__traceback__))}"
        f"{describe_error(one)}\n"
        for one in reversed(list(_chain(error)))
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what it was raised for."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
