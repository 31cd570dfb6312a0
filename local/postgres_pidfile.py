"""What `postmaster.pid` says about the server of a data directory, checked against the processes.

https://www.postgresql.org/docs/18/storage-file-layout.html names the file; its lines are pid, data
directory, start time, port, socket directory, listen address, shared memory, status.
"""

from dataclasses import dataclass
from pathlib import Path

import psutil

PORT_LINE = 3
STATUS_LINE = 7


@dataclass(frozen=True)
class Postmaster:
    """A server process that lives; `ready` once it takes connections and until it shuts down."""

    pid: int
    port: int
    ready: bool


def read(data: Path) -> Postmaster | None:
    """The server that runs on this data directory; None for none, or a file left by a dead one."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(lines) <= PORT_LINE or not serves(int(lines[0]), data):
        return None
    ready = len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"
    return Postmaster(pid=int(lines[0]), port=int(lines[PORT_LINE]), ready=ready)


def serves(pid: int, data: Path) -> bool:
    """Whether this process is a server of the directory, and no later process of the same number.

    A container restarts with the numbers of its last life, so a living pid alone proves nothing.
    """
    try:
        return str(data) in psutil.Process(pid).cmdline()
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False


def discard_foreign(data: Path) -> None:
    """Remove the file if its number now belongs to a process that is no PostgreSQL of ours.

    PostgreSQL itself clears a file whose process is gone, and checks that no orphan still holds its
    shared memory; it refuses to start only where the number is taken again.
    """
    path = data / "postmaster.pid"
    if not path.exists():
        return
    pid = int(path.read_text().split(maxsplit=1)[0])
    if psutil.pid_exists(pid) and not serves(pid, data):
        path.unlink()
