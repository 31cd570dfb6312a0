"""Ctrl-C during imports ends the process at once and silently."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_once() -> Iterator[None]:
    """Let Ctrl-C end the process by the signal itself. During an import KeyboardInterrupt would
    print a traceback, and code that builds a class could take it for an error of that class.
    """
    is_ours = (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
        and threading.current_thread() is threading.main_thread()
    )
    if not is_ours:  # it is ignored (a shell's &), or the caller has its own handler
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
