"""The demo's database: beside others on the server that `DATABASE_URL` names, or on our own."""

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
LEAVING_MAX_S = 5  # as long as Postgres itself waits for a session that leaves a database
POLL_S = 0.05
IN_USE = "55006"  # https://www.postgresql.org/docs/current/errcodes-appendix.html


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """Create an empty, migrated database for this demo alone and return its URL. OperatorError
    while somebody else is in it. It stays."""
    with closing(connect(with_database(server_url, "postgres"))) as admin, _alone(admin):
        _replace(admin)
        url = with_database(server_url, DATABASE)
        migrate(url)
        yield url


@contextmanager
def _alone(admin: Any) -> Iterator[None]:
    """Hold the lock of the one demo of this server.

    A session that has just ended, killed for example, may hold it for another moment: so the lock
    is given back before the session ends, and tried for a while before a refusal.
    """
    deadline = monotonic() + LEAVING_MAX_S
    while admin.run(SQL["demo_lock"]) != [[True]]:
        if monotonic() > deadline:
            raise OperatorError("Another `mauntic demo` runs on this server: wait for its end.")
        sleep(POLL_S)
    try:
        yield
    finally:
        with suppress(InterfaceError, DatabaseError, OSError):  # its server may have ended
            admin.run(SQL["demo_unlock"])


def _replace(admin: Any) -> None:
    try:
        admin.run(f"drop database if exists {DATABASE}")  # waits some seconds for who is leaving
    except DatabaseError as error:
        if error.args[0].get("C") != IN_USE:
            raise
        raise OperatorError(
            f"Somebody looks at the database {DATABASE}, which a demo makes anew: end that first."
        ) from None
    admin.run(f"create database {DATABASE}")
    # A power cut may lose the end of a demo: no commit has to wait for the disk.
    admin.run(f"alter database {DATABASE} set synchronous_commit = off")


def how_to_look(environment: Mapping[str, str], contact: object, at: datetime) -> str:
    """What to type to see more of what came out."""
    if environment.get("DATABASE_URL"):
        return f"It stays in the database {DATABASE} of that server until the next demo."
    return (
        "It stays until the next demo. To look around in it:\n"
        f"DATABASE_URL=postgresql:///{DATABASE} mauntic scores show {contact}"
        f" --at {at:%Y-%m-%dT%H:%MZ}"
    )
