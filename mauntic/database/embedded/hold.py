"""One user's hold on the embedded server, which its guard ends when nobody has one any more.

Standard library only: `make clean` asks whether there are users, with whatever Python there is.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from mauntic.project.private_files import open_private

POLL_S = 0.005


class Use:
    """One user's hold on the server. Users come and go one at a time, under another lock."""

    def __init__(self, users: Path) -> None:
        self._users = users
        self._lock: IO[str] | None = None

    def begin(self, timeout_s: float) -> bool:
        """Hold it, after the end of one that is being shut down; False if that takes too long."""
        if self._lock is not None:
            return True
        lock = self._open()
        deadline = time.monotonic() + timeout_s
        while not _is_locked(lock, fcntl.LOCK_SH):
            if time.monotonic() > deadline:
                lock.close()
                return False
            time.sleep(POLL_S)
        self._lock = lock
        return True

    def end(self) -> bool:
        """Let go; whether others still hold it: the guard alone would have the exclusive lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        with self._open() as probe:
            return not _is_locked(probe, fcntl.LOCK_EX) and _is_locked(probe, fcntl.LOCK_SH)

    def _open(self) -> IO[str]:
        return os.fdopen(open_private(self._users, os.O_RDWR | os.O_APPEND), "a")


def _is_locked(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
