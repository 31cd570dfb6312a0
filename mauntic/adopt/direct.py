"""A database whose statements may stand alone: no transaction is put around them."""

from __future__ import annotations

from typing import Any

from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.adapters.postgres.session import AS_COMMAND, whole_session


class Direct(Postgres):
    """A direct connection, set up as a whole session: `create index concurrently` works.

    A transaction sets what it needs by itself, as everywhere.
    """

    def __init__(self, url: str) -> None:
        super().__init__(lambda: _connect(url), AS_COMMAND)

    def _around(self) -> tuple[str, str]:
        return super()._around() if self._in_transaction else ("", "")


def _connect(url: str) -> Any:
    connection = connect(url)
    connection.run(whole_session(AS_COMMAND))
    return connection
