"""The processor time of a piece of code, for bounds on its growth."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def own_time() -> Iterator[Callable[[], float]]:
    """Measure the seconds that this thread computes. The garbage that other tests left is collected
    afterwards: its collection takes longer than what is measured.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    started = time.thread_time()
    try:
        yield lambda: time.thread_time() - started
    finally:
        if was_enabled:
            gc.enable()
