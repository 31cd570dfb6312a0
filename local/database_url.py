"""Database URLs: taken apart, connected to, and checked before anything is built on one."""

import re
import ssl
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from pg8000.exceptions import DatabaseError, InterfaceError

from shared.adapters.connection import Connection

CONNECT_TIMEOUT_S = 5
# Whatever the database is set to: pg8000 reads dates in one form alone, and times are shown in UTC.
# PgBouncer lets both through: https://www.pgbouncer.org/config.html#ignore_startup_parameters
SESSION = {"TimeZone": "UTC", "DateStyle": "ISO"}
SCHEMES = ("postgres", "postgresql")
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class DatabaseUnavailable(Exception):
    """The database cannot be used; the text is one sentence that says why and what to do."""


@dataclass(frozen=True)
class DatabaseUrl:
    """`postgresql://user:password@host:port/database?sslmode=…`, in its parts."""

    user: str
    password: str | None
    host: str
    port: int
    database: str
    sslmode: str | None

    @classmethod
    def parse(cls, url: str) -> "DatabaseUrl":
        """Take a URL apart; `DatabaseUnavailable` if it is none that names a TCP host."""
        try:
            parts = urlsplit(url)
            port = parts.port or 5432
        except ValueError as error:
            raise DatabaseUnavailable(f"DATABASE_URL is no URL: {error}.") from None
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise DatabaseUnavailable(
                "DATABASE_URL must look like postgresql://user:password@host:5432/database."
            )
        return cls(
            user=unquote(parts.username or "postgres"),
            password=unquote(parts.password) if parts.password is not None else None,
            host=parts.hostname,
            port=port,
            database=unquote(parts.path.lstrip("/")) or unquote(parts.username or "postgres"),
            sslmode=parse_qs(parts.query).get("sslmode", [None])[0],
        )

    @property
    def address(self) -> str:
        """Where it is, without user and password: fit for a message."""
        return f"{self.host}:{self.port}/{self.database}"

    def ssl_context(self) -> ssl.SSLContext | bool | None:
        """What pg8000 understands: False for plain, None for TLS if offered, else a context."""
        if self.sslmode == "disable" or (self.sslmode is None and self.host in LOOPBACK_HOSTS):
            return False
        if self.sslmode in (None, "allow", "prefer"):
            return None
        context = ssl.create_default_context()
        if self.sslmode != "verify-full":
            context.check_hostname = False
        if self.sslmode == "require":
            context.verify_mode = ssl.CERT_NONE
        return context


def own_database(url: str) -> str | None:
    """The database of the embedded server that a URL without a host names.

    >>> own_database("postgresql:///mauntic_demo"), own_database("postgresql:///shop?host=/run")
    ('mauntic_demo', None)
    """
    parts = urlsplit(url)
    is_bare = parts.scheme in SCHEMES and not (parts.netloc or parts.query or parts.fragment)
    name = parts.path.removeprefix("/")
    return name if is_bare and re.fullmatch(r"\w+", name) else None


def with_database(url: str, database: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def connect(url: str, *, timeout_s: float | None = None) -> Any:
    """An open connection, pg8000's, at UTC; the timeout holds for every answer waited for."""
    to = DatabaseUrl.parse(url)
    return Connection(
        user=to.user,
        password=to.password,
        host=to.host,
        port=to.port,
        database=to.database,
        ssl_context=to.ssl_context(),
        timeout=timeout_s,
        startup_params=SESSION,
    )


def check_answers(url: str) -> None:
    """Ask the database for an answer within seconds, else raise `DatabaseUnavailable`."""
    address = DatabaseUrl.parse(url).address
    try:
        with closing(connect(url, timeout_s=CONNECT_TIMEOUT_S)) as connection:
            connection.run("SELECT 1")
    except (InterfaceError, DatabaseError, OSError) as error:
        raise DatabaseUnavailable(
            f"The database at {address} does not answer ({reason(error)}): "
            "start it, correct DATABASE_URL, or unset it to use the embedded server."
        ) from None


def reason(error: Exception) -> str:
    """The cause in a few words: the server's own message where there is one."""
    said = error.args[0] if error.args else ""
    if isinstance(said, dict):
        return str(said.get("M", said))
    cause = error.__cause__ or error.__context__
    return str(cause or error).strip().rstrip(".") or type(error).__name__
