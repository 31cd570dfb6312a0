"""Parse database URLs, connect to them, and check them before use."""

import re
import ssl
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from pg8000.exceptions import DatabaseError, InterfaceError

from shared.adapters.postgres.pipelined import Connection
from shared.adapters.postgres.session import AT_CONNECT

CONNECT_TIMEOUT_S = 5
SCHEMES = ("postgres", "postgresql")
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


OPTIONAL = (None, "allow", "prefer")
DECIDED = ("disable", "require", "verify-ca", "verify-full")
PORT_MAX = 65_535
# Characters that a part may contain unescaped. All others are percent-encoded, in particular those
# that end a part.
PLAIN = r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
SHAPE = re.compile(
    rf"(?:{'|'.join(SCHEMES)})://"
    rf"(?:(?P<user>{PLAIN}*)(?::(?P<password>(?:{PLAIN}|:)*))?@)?"
    r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?"
    rf"(?:/(?P<database>{PLAIN}*))?(?:\?(?P<query>(?:{PLAIN}|[/:])*))?"
)
MUST_LOOK_LIKE = (
    "DATABASE_URL must look like postgresql://user:password@host:5432/database, with every"
    " character of user and password except letters and digits percent-encoded"
    " (/ is %2F, @ is %40, # is %23)."
)


class DatabaseUnavailable(Exception):
    """The database cannot be used; the text is one sentence with reason and remedy."""


@dataclass(frozen=True)
class DatabaseUrl:
    """The parts of `postgresql://user:password@host:port/database?sslmode=…`."""

    user: str
    password: str | None
    host: str
    port: int
    database: str
    sslmode: str | None
    sslrootcert: str | None = None

    @classmethod
    def parse(cls, url: str) -> "DatabaseUrl":
        """Parse a URL. Raise `DatabaseUnavailable` if it names no TCP host. The error's text is
        fixed, because a part of a malformed URL may be a part of the password.
        """
        match = SHAPE.fullmatch(url)
        if match is None or int(match["port"] or 5432) > PORT_MAX:
            raise DatabaseUnavailable(MUST_LOOK_LIKE)
        user = unquote(match["user"] or "postgres")
        options = parse_qs(match["query"] or "")
        return cls(
            user=user,
            password=unquote(match["password"]) if match["password"] is not None else None,
            host=match["host"].strip("[]").lower(),
            port=int(match["port"] or 5432),
            database=unquote(match["database"] or "") or user,
            sslmode=options.get("sslmode", [None])[0],
            sslrootcert=options.get("sslrootcert", [None])[0],
        )

    @property
    def is_local(self) -> bool:
        """True if the database is on this machine."""
        return self.host in LOOPBACK_HOSTS

    def refuse_optional_tls(self) -> None:
        """Raise `DatabaseUnavailable` for a database on another machine without an explicit
        sslmode.
        """
        if not self.is_local and self.sslmode not in DECIDED:
            raise DatabaseUnavailable(
                "DATABASE_URL names another machine and needs an sslmode:"
                " add sslmode=verify-full (sslmode=require checks no certificate)."
            )

    @property
    def address(self) -> str:
        """Host, port and database, without user and password: safe for messages."""
        return f"{self.host}:{self.port}/{self.database}"

    def ssl_context(self) -> ssl.SSLContext | bool | None:
        """Return pg8000's option: False for no TLS, None for TLS if offered, else a context.

        Over a network, optional TLS gives no protection: an attacker between the two asks for the
        password without TLS.
        """
        self.refuse_optional_tls()
        if self.sslmode == "disable" or (self.sslmode is None and self.is_local):
            return False
        if self.sslmode in OPTIONAL:
            return None
        context = ssl.create_default_context(cafile=self.sslrootcert)
        if self.sslmode != "verify-full":
            context.check_hostname = False
        if self.sslmode == "require":
            context.verify_mode = ssl.CERT_NONE
        return context


def own_database(url: str) -> str | None:
    """Return the database of the embedded server that a URL without a host names.

    >>> own_database("postgresql:///mauntic_demo"), own_database("postgresql:///shop?host=/run")
    ('mauntic_demo', None)
    """
    match = re.fullmatch(rf"(?:{'|'.join(SCHEMES)}):///(\w+)", url)
    return match[1] if match else None


def with_database(url: str, database: str) -> str:
    """Return the URL of another database of the same server."""
    DatabaseUrl.parse(url)  # in a malformed URL, parts of the password would move
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def connect(url: str, *, timeout_s: float | None = None) -> Any:
    """Return an open pg8000 connection at UTC; the timeout applies to every answer."""
    to = DatabaseUrl.parse(url)
    return Connection(
        user=to.user,
        password=to.password,
        host=to.host,
        port=to.port,
        database=to.database,
        ssl_context=to.ssl_context(),
        timeout=timeout_s,
        startup_params=AT_CONNECT,
    )


def check_answers(url: str) -> None:
    """Wait up to a few seconds for an answer of the database; raise `DatabaseUnavailable` without
    one.
    """
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
    """Return the cause in a few words: the server's own message if there is one."""
    detail = error.args[0] if error.args else ""
    if isinstance(detail, dict):
        return str(detail.get("M", detail))
    cause = error.__cause__ or error.__context__
    return str(cause or error).strip().rstrip(".") or type(error).__name__
