"""Ctrl-C and `kill` while a command runs."""

from __future__ import annotations

import signal


def heed_interrupts() -> None:
    """Have SIGINT and SIGTERM raise KeyboardInterrupt, so that nothing is left behind. A shell has
    SIGINT ignored for what a script starts with `&`, and Python keeps that."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
