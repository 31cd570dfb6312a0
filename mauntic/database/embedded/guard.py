"""Run the embedded server as long as it has users; a process between the users and the server.

Each user holds a shared lock on one file (hold.py). The kernel releases it however the user ends,
even by SIGKILL. When the guard gets the exclusive lock, there is no user left: it shuts the server
down (SIGINT: fast and clean). It keeps the lock until the server has ended, so a new user waits and
then starts another server. This file runs as a program and imports only the standard library.
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


def guard_command(users: Path, account: Mapping[str, Any], server_command: list[str]) -> list[str]:
    """Return the command of a guard. `account` has the arguments with which `subprocess` starts the
    server.
    """
    return [sys.executable, "-IS", __file__, str(users), json.dumps(account), *server_command]


def main(users: str, account: str, *server_command: str) -> int:
    """Run until the server ends; SIGTERM ends both."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until there is a server to end
    with os.fdopen(os.open(users, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)) as lock:
        server = subprocess.Popen(server_command, **json.loads(account))
        signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGINT))

        def end_when_alone() -> None:
            fcntl.flock(lock, fcntl.LOCK_EX)
            server.send_signal(signal.SIGINT)

        threading.Thread(target=end_when_alone, daemon=True).start()  # SIGTERM: main thread
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        return server.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
