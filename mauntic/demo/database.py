"""The demo's database, on the server of `DATABASE_URL` or on the embedded server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from time import monotonic, sleep
from typing import Any

from pg8000.exceptions import DatabaseError, InterfaceError

from mauntic.database.migrations import migrate
from mauntic.database.url import connect, with_database
from mauntic.errors import OperatorError
from mauntic.operations.statements import SQL

DATABASE = "mauntic_demo"
LEAVING_MAX_S = 5  # Postgres waits as long for a session that is leaving a database
POLL_S = 0.05
IN_USE = "55006"  # https://www.postgresql.org/docs/current/errcodes-appendix.html


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """Create an empty, migrated database for this demo and yield its URL. The database stays
    afterwards. Raise OperatorError while another session uses it.
    """
    with closing(connect(with_database(server_url, "postgres"))) as admin, _alone(admin):
        _replace(admin)
        url = with_database(server_url, DATABASE)
        migrate(url)
        yield url


@contextmanager
def _alone(admin: Any) -> Iterator[None]:
    """Hold the lock that allows one demo per server.

    A session that has just ended, for example because it was killed, may hold the lock a moment
    longer. So the lock is released before the session ends, and several attempts are made before a
    refusal.
    """
    deadline = monotonic() + LEAVING_MAX_S
    while admin.run(SQL["demo_lock"]) != [[True]]:
        if monotonic() > deadline:
            raise OperatorError("Another `mauntic demo` runs on this server: wait until it ends.")
        sleep(POLL_S)
    try:
        yield
    finally:
        with suppress(InterfaceError, DatabaseError, OSError):  # its server may have ended
            admin.run(SQL["demo_unlock"])


def _replace(admin: Any) -> None:
    try:
        # This waits some seconds for sessions that are leaving.
        admin.run(f"drop database if exists {DATABASE}")
    except DatabaseError as error:
        if error.args[0].get("C") != IN_USE:
            raise
        raise OperatorError(
            f"Another session uses the database {DATABASE}, which a demo recreates: end it first."
        ) from None
    admin.run(f"create database {DATABASE}")
    # A demo may lose its end in a power cut, so no commit has to wait for the disk.
    admin.run(f"alter database {DATABASE} set synchronous_commit = off")


def how_to_look(environment: Mapping[str, str], contact: object, at: datetime) -> str:
    """Return the command that inspects the result."""
    if environment.get("DATABASE_URL"):
        return f"The result stays in the database {DATABASE} of that server until the next demo."
    return (
        "The database stays until the next demo. To inspect it:\n"
        f"DATABASE_URL=postgresql:///{DATABASE} mauntic scores show {contact}"
        f" --at {at:%Y-%m-%dT%H:%MZ}"
    )
