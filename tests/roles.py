"""Two roles in a database of the tests: its owner, and the workers' role.

The workers' role has the rights of `mauntic db grants`, and defaults that are all wrong. So every
job runs in tests with these rights and with the settings of the worst deployment.
"""

from __future__ import annotations

from contextlib import closing
from urllib.parse import quote, urlsplit, urlunsplit

from mauntic.database.url import DatabaseUrl, connect
from mauntic.operations import grants
from mauntic.operations.connection import database_at
from shared.adapters.postgres.pipelined import Connection

ROLES = grants.Roles()
PASSWORD = "of the tests alone"

HOSTILE = {
    "timezone": "Asia/Kolkata",
    "datestyle": "SQL, DMY",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "search_path": "",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "statement_timeout": "2s",
    "lock_timeout": "10ms",
    "idle_in_transaction_session_timeout": "1s",
    "work_mem": "64kB",
    "jit": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "client_encoding": "LATIN1",
}


def make_roles(url: str) -> None:
    """Create the roles, with their rights in this database and in its copies."""
    with closing(database_at(url)) as db:
        grants.apply(db, ROLES)
    with closing(connect(url)) as owner:
        owner.run(f"alter role {ROLES.workers} password '{PASSWORD}'")
        # A test's own tables are in a separate schema.
        owner.run(
            f"alter default privileges in schema public grant all on tables to {ROLES.workers}"
        )
        # The simulator looks for deadlocks at once.
        owner.run(f"grant set on parameter deadlock_timeout to {ROLES.workers}")
        for setting, to in HOSTILE.items():
            owner.run(f"alter role {ROLES.workers} set {setting} = '{to}'")


def as_worker(url: str) -> Connection:
    """Connect as Hyperdrive does for a worker: with its role, and without startup settings."""
    return _plain(DatabaseUrl.parse(url), ROLES.workers, PASSWORD)


def url_of_worker(url: str) -> str:
    """The URL of a database for the workers' role."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{ROLES.workers}:{quote(PASSWORD)}@{host}"))


def as_owner(url: str) -> Connection:
    """Connect as the owner, with no setting at startup."""
    to = DatabaseUrl.parse(url)
    return _plain(to, to.user, to.password)


def _plain(to: DatabaseUrl, user: str, password: str | None) -> Connection:
    return Connection(
        user, host=to.host, port=to.port, password=password, database=to.database, ssl_context=False
    )
