"""Runs the embedded server as long as somebody uses it: a process of its own, between the two.

Each user holds a shared lock on one file (postgres_use.py), and the kernel takes it back however
the user ends, even by a SIGKILL. Whoever gets the exclusive one is alone: then the server is shut
down (SIGINT: fast, clean). The lock is kept until the server is gone: whoever comes meanwhile
waits, and starts another. A program that runs alone: it imports the standard library and nothing
beside it.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def guarded(users: Path, account: Mapping[str, Any], server_command: list[str]) -> list[str]:
    """The command of a guard. `account` is what `subprocess` needs to start the server as it."""
    return [sys.executable, "-IS", __file__, str(users), json.dumps(account), *server_command]


def main(users: str, account: str, *server_command: str) -> int:
    """Ends with the server; a SIGTERM ends both."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until there is one to end
    with os.fdopen(os.open(users, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)) as lock:
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
