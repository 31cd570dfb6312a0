"""The file with the address and database of a running `mauntic dev`, for other commands."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

import psutil

from mauntic.errors import OperatorError
from mauntic.local.control_client import HOME
from mauntic.project.private_files import make_home, write_private

STATE = HOME / "runtime.json"


@dataclass(frozen=True)
class RunningDev:
    """The process, the URL and token of its control API, its database, its start time, and the
    addresses and keys of its workers that answer requests, by the names of the variables.
    """

    pid: int
    url: str
    token: str
    database_url: str
    since: str
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        """Return whether its process is alive, and not a later one with the same number."""
        try:
            process = psutil.Process(self.pid)
            began, status = process.create_time(), process.status()
        except psutil.NoSuchProcess:
            return False
        since = datetime.fromisoformat(self.since).timestamp()
        return bool(began <= since and status != psutil.STATUS_ZOMBIE)


def running_dev() -> RunningDev | None:
    """Return the `mauntic dev` of this folder if one is running."""
    try:
        dev = RunningDev(**json.loads(STATE.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return dev if dev.is_alive else None


def refuse_second() -> None:
    """Raise OperatorError if one is running: both would react to the same commands."""
    if dev := running_dev():
        raise OperatorError(
            f"`mauntic dev` runs here already, as process {dev.pid} on port"
            f" {urlsplit(dev.url).port}: end it first."
        )


@contextmanager
def announce(
    url: str, token: str, database_url: str, settings: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Keep a file with the address of this process while it runs. The file contains the token and
    the database's password, so only its owner may read it.
    """
    refuse_second()  # another one may have started in the meantime
    make_home(STATE.parent)
    since = datetime.now(UTC).isoformat()
    dev = RunningDev(os.getpid(), url, token, database_url, since, dict(settings or {}))
    write_private(STATE, json.dumps(asdict(dev)))
    try:
        yield
    finally:
        if running_dev() == dev:  # else the file was removed, and another one has started
            STATE.unlink()
