"""The data directory of the embedded server, made with a random password."""

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

# SCRAM as in production, with its 4096 rounds: RFC 7677 asks for them, and scramp, which does this
# for pg8000, refuses fewer, so `scram_iterations` cannot make connecting cheaper.
INITDB = [
    *("--username", NAME, "--auth", "scram-sha-256"),
    *("--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin"),
    *("--builtin-locale", "C.UTF-8", "--no-instructions"),
]


def initialize(home: Path, account: Account, binaries: Path, *, durable: bool) -> None:
    """Make the data directory, whole or not at all: an interrupted attempt is begun anew."""
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
    """Make the server's account the owner of what is in our own directory, and of no link."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        account.take(handle)
    finally:
        os.close(handle)


@contextmanager
def _lent(file: Path, password: str, account: Account) -> Iterator[Path]:
    """A file with the password that the server's account may read, as long as initdb runs."""
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
    """The last line that says something, without the trailing dot."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip().rstrip(".") if lines else "it said nothing"
