"""Decide which exceptions belong to one message, and which end the whole task."""

from __future__ import annotations

import asyncio


def ends_the_task(error: BaseException) -> bool:
    """Return whether `error` must propagate to the caller of the task: a cancelled or closed task,
    or an interrupt from the keyboard. Anything else, including `SystemExit` and the platform's
    `CpuLimitExceeded`, was raised by the work and belongs to its message.

    >>> ends_the_task(KeyboardInterrupt()), ends_the_task(SystemExit()), ends_the_task(KeyError())
    (True, False, False)
    """
    if isinstance(error, asyncio.CancelledError):
        return _is_cancelled()
    return isinstance(error, KeyboardInterrupt | GeneratorExit)


def _is_cancelled() -> bool:
    """Return whether this task is being cancelled. A handler that awaits a cancelled task gets the
    same exception.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop is running
        return False
    return task is not None and task.cancelling() > 0
