"""Ctrl-C while modules are imported: it ends the process at once and silently."""

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
