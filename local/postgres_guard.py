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
from pathlib import Path


def main(users: str, account: str, *server_command: str) -> int:
    """Ends with the server; a SIGTERM ends both. `account` is JSON: what `subprocess` needs to
    start the server as it."""
    server: subprocess.Popen[bytes]
    signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGINT))
    with Path(users).open() as lock:
        server = subprocess.Popen(server_command, **json.loads(account))

        def end_when_alone() -> None:
            fcntl.flock(lock, fcntl.LOCK_EX)
            server.send_signal(signal.SIGINT)

        threading.Thread(target=end_when_alone, daemon=True).start()
        return server.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
