"""What `postmaster.pid` says about the server of a data directory, checked against the processes.

https://www.postgresql.org/docs/18/storage-file-layout.html names the file; its lines are pid, data
directory, start time, port, socket directory, listen address, shared memory, status. The server's
account writes it, which need not be ours: no link is followed, and nothing in it is believed that
the processes do not confirm. Standard library only, for `make clean`.
"""

import os
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PORT_LINE = 3
STATUS_LINE = 7
BYTES_MAX = 4_096
PROCESSES = Path("/proc")


@dataclass(frozen=True)
class Postmaster:
    """A server process that lives; `ready` once it takes connections and until it shuts down."""

    pid: int
    port: int
    ready: bool


def read(data: Path) -> Postmaster | None:
    """The server that runs on this data directory; None for none, or a file left by a dead one."""
    lines = _lines(data)
    pid = _number(lines, 0)
    port = _number(lines, PORT_LINE)
    if pid is None or port is None or not serves(pid, data):
        return None
    ready = len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"
    return Postmaster(pid=pid, port=port, ready=ready)


def _lines(data: Path) -> list[str]:
    """The file's lines; none where it is no plain file of the account that owns the data."""
    try:
        handle = os.open(data / "postmaster.pid", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return []
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != _owner(data):
            return []
        return file.read(BYTES_MAX).decode(errors="replace").splitlines()


def _number(lines: list[str], index: int) -> int | None:
    text = lines[index].strip() if index < len(lines) else ""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return number or None


def _owner(data: Path) -> int:
    return data.lstat().st_uid


def serves(pid: int, data: Path) -> bool:
    """Whether this process is a server of the directory, and no later process of the same number.

    A container restarts with the numbers of its last life, so a living pid alone proves nothing;
    nor does a number that the data's account wrote down, unless the process is that account's.
    """
    with suppress(OSError, subprocess.CalledProcessError, ValueError):
        owner, words = _described(pid)
        return owner == _owner(data) and str(data) in words
    return False


def _described(pid: int) -> tuple[int, list[str]]:
    """The account of a process, and its command line."""
    if (PROCESSES / "self").exists():
        process = PROCESSES / str(pid)
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        return process.stat().st_uid, words
    command = ["ps", "-ww", "-o", "uid=,command=", "-p", str(pid)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    owner, *words = said.split()
    return int(owner), words


def discard_foreign(data: Path) -> None:
    """Remove the file if its number now belongs to a process that is no PostgreSQL of ours.

    PostgreSQL itself clears a file whose process is gone, and checks that no orphan still holds its
    shared memory; it refuses to start only where the number is taken again.
    """
    pid = _number(_lines(data), 0)
    if pid is not None and _lives(pid) and not serves(pid, data):
        (data / "postmaster.pid").unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
