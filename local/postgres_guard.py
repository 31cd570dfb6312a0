"""Runs the embedded server as long as somebody uses it: a process of its own, between the two.

Each user holds a shared lock on one file, and the kernel takes it back however the user ends, even
by a SIGKILL. Whoever gets the exclusive one is alone: then the server is shut down (SIGINT: fast,
clean). The lock is kept until the server is gone: whoever comes meanwhile waits, and starts
another. Standard library only.
"""

import fcntl
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

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
        lock = self._users.open("a")
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
        with self._users.open("a") as probe:
            return not _is_locked(probe, fcntl.LOCK_EX) and _is_locked(probe, fcntl.LOCK_SH)


def _is_locked(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def guarded(users: Path, account: Mapping[str, Any], server_command: list[str]) -> list[str]:
    """The command of a guard. `account` is what `subprocess` needs to start the server as it."""
    return [sys.executable, "-IS", __file__, str(users), json.dumps(account), *server_command]


def main(users: str, account: str, *server_command: str) -> int:
    """Ends with the server; a SIGTERM ends both."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until there is one to end
    with Path(users).open() as lock:
        server = subprocess.Popen(server_command, **json.loads(account))
        signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGINT))

        def end_when_alone() -> None:
            fcntl.flock(lock, fcntl.LOCK_EX)
            server.send_signal(signal.SIGINT)

        threading.Thread(target=end_when_alone, daemon=True).start()  # SIGTERM is the main thread's
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        return server.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
