"""Handling of Ctrl-C and `kill` while a command runs."""

from __future__ import annotations

import signal


def heed_interrupts() -> None:
    """Make SIGINT and SIGTERM raise KeyboardInterrupt, so that the command cleans up.

    Set explicitly because a shell ignores SIGINT for programs started with `&`.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
