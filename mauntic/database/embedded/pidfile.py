"""Read `postmaster.pid` of a data directory, and check it against the processes.

https://www.postgresql.org/docs/18/storage-file-layout.html describes the file. Its lines are pid,
data directory, start time, port, socket directory, listen address, shared memory, status. The
server's account writes it, which may be another account: links are not followed, and nothing in the
file is trusted that the processes do not confirm. Standard library only, for `make clean`.
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
    """A running server process; `ready` while it accepts connections."""

    pid: int
    port: int
    ready: bool


def read(data: Path) -> Postmaster | None:
    """Return the server that runs on this data directory; None if there is none or only its old
    file.
    """
    lines = _lines(data)
    pid = _number(lines, 0)
    port = _number(lines, PORT_LINE)
    if pid is None or port is None or not serves(pid, data):
        return None
    ready = len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"
    return Postmaster(pid=pid, port=port, ready=ready)


def _lines(data: Path) -> list[str]:
    """Return the file's lines; none if it is not a plain file of the account that owns the data."""
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
    """Return whether this process is a server of the directory, and not a later process with its
    number.

    A container starts again with the same process numbers, so a live number alone proves nothing.
    Nor does a number that the data's account wrote, unless the process belongs to that account.
    """
    with suppress(OSError, subprocess.CalledProcessError, ValueError):
        owner, words = _owner_and_command(pid)
        return owner == _owner(data) and str(data) in words
    return False


def _owner_and_command(pid: int) -> tuple[int, list[str]]:
    """Return the account of a process, and its command line."""
    if (PROCESSES / "self").exists():
        process = PROCESSES / str(pid)
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        return process.stat().st_uid, words
    command = ["ps", "-ww", "-o", "uid=,command=", "-p", str(pid)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    owner, *words = output.split()
    return int(owner), words


def discard_foreign(data: Path) -> None:
    """Remove the file if its number now belongs to a process that is not a PostgreSQL of this
    directory.

    PostgreSQL itself removes a file whose process has ended, and checks that no orphan uses its
    shared memory. It refuses to start only if the number is in use again.
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
