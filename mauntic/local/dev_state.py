"""What the running `mauntic dev` leaves for other commands: where it is, and its database."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import psutil

from mauntic.errors import OperatorError
from mauntic.local.control_client import HOME
from mauntic.project.private_files import make_home, write_private

STATE = HOME / "runtime.json"


@dataclass(frozen=True)
class RunningDev:
    """Its process, the URL and token of its control API, its database, and since when it is up."""

    pid: int
    url: str
    token: str
    database_url: str
    since: str

    @property
    def is_alive(self) -> bool:
        """Whether its process lives, and is no later one that got the same number."""
        try:
            process = psutil.Process(self.pid)
            began, status = process.create_time(), process.status()
        except psutil.NoSuchProcess:
            return False
        since = datetime.fromisoformat(self.since).timestamp()
        return bool(began <= since and status != psutil.STATUS_ZOMBIE)


def running_dev() -> RunningDev | None:
    """The `mauntic dev` of this folder, if one lives."""
    try:
        dev = RunningDev(**json.loads(STATE.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return dev if dev.is_alive else None


def refuse_second() -> None:
    """OperatorError where one lives already: both would answer to the same commands."""
    if dev := running_dev():
        raise OperatorError(
            f"`mauntic dev` runs here already, as process {dev.pid} on port"
            f" {urlsplit(dev.url).port}: end that one first."
        )


@contextmanager
def announced(url: str, token: str, database_url: str) -> Iterator[None]:
    """Keep a file that says where this process serves, as long as it does. The token and the
    database's password are in it, so only its owner may read it."""
    refuse_second()  # one may have begun while this one did
    make_home(STATE.parent)
    dev = RunningDev(os.getpid(), url, token, database_url, datetime.now(UTC).isoformat())
    write_private(STATE, json.dumps(asdict(dev)))
    try:
        yield
    finally:
        if running_dev() == dev:  # else the file was removed, and another one has begun
            STATE.unlink()
