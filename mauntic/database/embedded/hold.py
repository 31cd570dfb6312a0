"""A user's hold on the embedded server. The guard ends the server when no process has one.

Standard library only: `make clean` checks for users with any Python that is installed.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from mauntic.project.private_files import open_private

POLL_S = 0.005


class Use:
    """A user's hold on the server. A second lock makes users begin and end one at a time."""

    def __init__(self, users: Path) -> None:
        self._users = users
        self._lock: IO[str] | None = None

    def begin(self, timeout_s: float) -> bool:
        """Take the hold, after the end of a server that is being shut down; return False on a
        timeout.
        """
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
        """Release the hold. Return whether other users remain: a shared lock is possible, an
        exclusive one is not.

        The exclusive lock is tried twice: at the first try the guard may hold the file for the end
        of the server, and release it before the shared lock is tried.
        """
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        with self._open() as probe:
            return (
                not _is_locked(probe, fcntl.LOCK_EX)
                and _is_locked(probe, fcntl.LOCK_SH)
                and not _is_locked(probe, fcntl.LOCK_EX)
            )

    def _open(self) -> IO[str]:
        return os.fdopen(open_private(self._users, os.O_RDWR | os.O_APPEND), "a")


def _is_locked(file: IO[str], lock_type: int) -> bool:
    try:
        fcntl.flock(file, lock_type | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
