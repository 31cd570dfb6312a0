"""A database for one test, dropped afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager

from mauntic.database.embedded.server import Server
from mauntic.database.url import connect, with_database


@contextmanager
def scratch_database(server: Server | str, template: str = "template1") -> Iterator[str]:
    """A new database that is a copy of the template; yields its URL and drops it afterwards."""
    url = server if isinstance(server, str) else server.url
    name = f"scratch_{secrets.token_hex(6)}"
    with closing(connect(with_database(url, "postgres"))) as admin:
        admin.run(f'CREATE DATABASE {name} TEMPLATE "{template}" STRATEGY FILE_COPY')
        try:
            yield with_database(url, name)
        finally:
            admin.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
