"""Which exceptions are one message's own affair, and which end the whole task."""

from __future__ import annotations

import asyncio


def ends_the_task(error: BaseException) -> bool:
    """Return whether `error` must go on to whoever runs the task: it is cancelled or closed, or an
    interrupt from the keyboard. Anything else, `SystemExit` and the platform's `CpuLimitExceeded`
    included, was raised by the work, and belongs to the message that the work was for.

    >>> ends_the_task(KeyboardInterrupt()), ends_the_task(SystemExit()), ends_the_task(KeyError())
    (True, False, False)
    """
    if isinstance(error, asyncio.CancelledError):
        return _is_cancelled()
    return isinstance(error, KeyboardInterrupt | GeneratorExit)


def _is_cancelled() -> bool:
    """Return whether somebody cancels this task. A handler that awaits a task which was cancelled
    gets the same exception."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop runs
        return False
    return task is not None and task.cancelling() > 0
