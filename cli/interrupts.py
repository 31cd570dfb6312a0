"""Ctrl-C and `kill`: silent and at once while modules are imported, heeded in good order later."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_once() -> Iterator[None]:
    """Ctrl-C ends the process, by the signal itself. For imports: KeyboardInterrupt would be shown
    with its traceback there, and what builds a class may take it for an error of that class."""
    is_ours = (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
        and threading.current_thread() is threading.main_thread()
    )
    if not is_ours:  # ignored in a shell's &, or somebody's who answers it otherwise
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def heed_interrupts() -> None:
    """Have SIGINT and SIGTERM raise KeyboardInterrupt, so that nothing is left behind. A shell has
    SIGINT ignored for what a script starts with `&`, and Python keeps that."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
