"""Where a command works: the running local system, or what the environment names."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager

from pg8000.exceptions import DatabaseError, InterfaceError

from mauntic.database.embedded.server import open_database as open_server
from mauntic.database.migrations import migrate
from mauntic.database.url import (
    CONNECT_TIMEOUT_S,
    DatabaseUnavailable,
    DatabaseUrl,
    connect,
    own_database,
    reason,
)
from mauntic.errors import OperatorError
from mauntic.local.control_client import Control, RuntimeFailed
from mauntic.local.dev_state import RunningDev, running_dev
from mauntic.operations.system import SystemEnded
from shared.adapters.postgres.client import Postgres
from shared.adapters.postgres.session import AS_COMMAND
from shared.errors import DatabaseUnreachable

notices = logging.getLogger(__name__)


def database_at(url: str) -> Postgres:
    """The database as commands use it: every transaction with the settings of commands."""
    return Postgres(lambda: connect(url), AS_COMMAND)


@contextmanager
def open_database() -> Iterator[Postgres]:
    """The local system's database; a warning where the running `mauntic dev` has another one."""
    with local_url() as url:
        _warn_of_another(url)
        with closing(database_at(url)) as database:
            yield database


@contextmanager
def open_deployed() -> Iterator[Postgres]:
    """The database that DATABASE_URL names, for those who have no other to fall back to."""
    url = os.environ["DATABASE_URL"]
    _assert_answers(url, "see whether it is up, or correct DATABASE_URL")
    with closing(database_at(url)) as database:
        yield database


@contextmanager
def local_url(*, migrated: bool = True) -> Iterator[str]:
    """The URL of the database here: that of DATABASE_URL, else that of the running `mauntic dev`,
    else of the embedded server, which is started for the command and its schema brought up to date.
    """
    given, dev = os.environ.get("DATABASE_URL"), running_dev()
    if dev and not given:
        _assert_dev_s_answers(dev)
        try:
            yield dev.database_url
        except DatabaseUnreachable as error:
            if running_dev() == dev:
                raise
            raise SystemEnded(
                f"`mauntic dev` (process {dev.pid}) has ended, and its database with it: start"
                " `mauntic dev` again."
            ) from error
        return
    with open_server(os.environ) as server:
        if migrated and not given:
            migrate(server.url)
        yield server.url


def _assert_dev_s_answers(dev: RunningDev) -> None:
    _assert_answers(
        dev.database_url,
        f"start it, and `mauntic dev` (process {dev.pid}), which works on it, goes on by itself",
    )


def _assert_answers(url: str, remedy: str) -> None:
    address = DatabaseUrl.parse(url).address
    try:
        connect(url, timeout_s=CONNECT_TIMEOUT_S).close()
    except (InterfaceError, DatabaseError, OSError) as error:
        raise DatabaseUnavailable(
            f"The database at {address} does not answer ({reason(error)}): {remedy}."
        ) from None


def _warn_of_another(url: str) -> None:
    """Warn: the ledger of one system beside the queues of another would mislead."""
    is_meant = os.environ.get("MAUNTIC_CONTROL_URL") or own_database(
        os.environ.get("DATABASE_URL", "")
    )
    dev = None if is_meant else running_dev()
    other = DatabaseUrl.parse(dev.database_url).address if dev else None
    own = DatabaseUrl.parse(url).address
    if other and other != own:
        notices.warning(
            "the running `mauntic dev` works on the database at %s, this command on %s:"
            " unset DATABASE_URL to work where it does",
            other,
            own,
        )


@contextmanager
def open_control() -> Iterator[Control]:
    """The control API that MAUNTIC_CONTROL_URL names, else that of the running `mauntic dev`."""
    with closing(_control()) as control:
        try:
            control.ask("GET", "/health")
        except RuntimeFailed:
            raise OperatorError(
                f"The local system at {control.url} does not answer: start `mauntic dev` again, or"
                " say --remote."
            ) from None
        yield control


def _control() -> Control:
    if named := os.environ.get("MAUNTIC_CONTROL_URL"):
        return Control(_loopback(named), _named_token())
    dev = running_dev()
    if dev is None:
        raise OperatorError(
            "No local system is running: start it with `mauntic dev`, or say --remote."
        )
    return Control(dev.url, dev.token)


def _loopback(url: str) -> str:
    """The URL, which gets the token in clear: OperatorError where it leads off this machine."""
    if re.fullmatch(r"http://(127\.0\.0\.1|localhost):\d{1,5}/?", url) is None:
        raise OperatorError("MAUNTIC_CONTROL_URL must look like http://127.0.0.1:8787.")
    return url


def _named_token() -> str:
    token = os.environ.get("MAUNTIC_CONTROL_TOKEN", "")
    if re.fullmatch(r"[0-9a-f]{64}", token) is None:
        raise OperatorError(
            "Set MAUNTIC_CONTROL_TOKEN beside MAUNTIC_CONTROL_URL: the token of that system, which"
            " its `.local/runtime.json` has."
        )
    return token
