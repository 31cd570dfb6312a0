"""Connect to the running local system or to what the environment names."""

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
    """Return the database with the session settings of commands."""
    return Postgres(lambda: connect(url), AS_COMMAND)


@contextmanager
def open_database() -> Iterator[Postgres]:
    """Yield the local database; warn if the running `mauntic dev` uses a different one."""
    with local_url() as url:
        _warn_of_another(url)
        with closing(database_at(url)) as database:
            yield database


@contextmanager
def open_deployed() -> Iterator[Postgres]:
    """Yield the database of DATABASE_URL, without a fallback."""
    url = os.environ["DATABASE_URL"]
    _assert_answers(url, "check that it is running, or correct DATABASE_URL")
    with closing(database_at(url)) as database:
        yield database


@contextmanager
def local_url(*, migrated: bool = True) -> Iterator[str]:
    """Yield the URL of DATABASE_URL, of the running `mauntic dev`, or of the embedded server.

    The embedded server is started for the command and its schema migrated.
    """
    given, dev = os.environ.get("DATABASE_URL"), running_dev()
    if dev and not given:
        _assert_dev_database_answers(dev)
        try:
            yield dev.database_url
        except DatabaseUnreachable as error:
            if running_dev() == dev:
                raise
            raise SystemEnded(
                f"`mauntic dev` (process {dev.pid}) has ended together with its database: start"
                " `mauntic dev` again."
            ) from error
        return
    with open_server(os.environ) as server:
        if migrated and not given:
            migrate(server.url)
        yield server.url


def _assert_dev_database_answers(dev: RunningDev) -> None:
    _assert_answers(
        dev.database_url,
        f"start it; `mauntic dev` (process {dev.pid}), which uses it, then continues by itself",
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
    """Warn if the ledger and the queues would belong to different systems."""
    is_meant = os.environ.get("MAUNTIC_CONTROL_URL") or own_database(
        os.environ.get("DATABASE_URL", "")
    )
    dev = None if is_meant else running_dev()
    other = DatabaseUrl.parse(dev.database_url).address if dev else None
    own = DatabaseUrl.parse(url).address
    if other and other != own:
        notices.warning(
            "the running `mauntic dev` uses the database at %s, this command uses %s:"
            " unset DATABASE_URL to use the same one",
            other,
            own,
        )


@contextmanager
def open_control() -> Iterator[Control]:
    """Yield the control API of MAUNTIC_CONTROL_URL or of the running `mauntic dev`."""
    with closing(_control()) as control:
        try:
            control.ask("GET", "/health")
        except RuntimeFailed:
            raise OperatorError(
                f"The local system at {control.url} does not answer: start `mauntic dev` again, or"
                " pass --remote."
            ) from None
        yield control


def _control() -> Control:
    if named := os.environ.get("MAUNTIC_CONTROL_URL"):
        return Control(_loopback(named), _named_token())
    dev = running_dev()
    if dev is None:
        raise OperatorError(
            "No local system is running: start it with `mauntic dev`, or pass --remote."
        )
    return Control(dev.url, dev.token)


def _loopback(url: str) -> str:
    """Return the URL if it is on loopback: it receives the token unencrypted."""
    if re.fullmatch(r"http://(127\.0\.0\.1|localhost):\d{1,5}/?", url) is None:
        raise OperatorError("MAUNTIC_CONTROL_URL must look like http://127.0.0.1:8787.")
    return url


def _named_token() -> str:
    token = os.environ.get("MAUNTIC_CONTROL_TOKEN", "")
    if re.fullmatch(r"[0-9a-f]{64}", token) is None:
        raise OperatorError(
            "Set MAUNTIC_CONTROL_TOKEN together with MAUNTIC_CONTROL_URL: the token is in that"
            " system's `.local/runtime.json`."
        )
    return token
