"""The data directory of the embedded server, with a random password."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mauntic.database.embedded.account import Account
from mauntic.database.url import DatabaseUnavailable
from mauntic.project.private_files import write_private

NAME = "mauntic"  # of the role and of the database

# SCRAM with 4096 rounds, as in production. RFC 7677 requires them and scramp, which implements
# SCRAM for pg8000, refuses fewer, so `scram_iterations` cannot make connecting faster.
INITDB = [
    *("--username", NAME, "--auth", "scram-sha-256"),
    *("--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin"),
    *("--builtin-locale", "C.UTF-8", "--no-instructions"),
]


def initialize(home: Path, account: Account, binaries: Path, *, durable: bool) -> None:
    """Create the data directory completely or not at all: an interrupted attempt starts from
    scratch.
    """
    new = home / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    _give(new, account)
    write_private(home / "password", password := secrets.token_urlsafe(24))
    with _lent(home / "password.lent", password, account) as file:
        command = [binaries / "initdb", "--pgdata", new, "--pwfile", file, *INITDB]
        _run([*map(str, command), *([] if durable else ["--no-sync"])], account)
    new.rename(home / "data")


def _give(path: Path, account: Account) -> None:
    """Make the server's account the owner of a file in root's directory. Links are refused."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        account.take(handle)
    finally:
        os.close(handle)


@contextmanager
def _lent(file: Path, password: str, account: Account) -> Iterator[Path]:
    """Yield a file with the password that the server's account may read while initdb runs."""
    write_private(file, password)
    try:
        _give(file, account)
        yield file
    finally:
        file.unlink()


def _run(command: list[str], account: Account) -> None:
    options = account.popen_options()
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise DatabaseUnavailable(f"initdb failed: {last_line(done.stderr)}")


def last_line(text: str) -> str:
    """Return the last line that is not empty, without the trailing dot."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip().rstrip(".") if lines else "no output"
