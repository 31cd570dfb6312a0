"""A database connection that runs single statements without a transaction around them."""

from __future__ import annotations

from typing import Any

from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.adapters.postgres.session import AS_COMMAND, whole_session


class Direct(Postgres):
    """A direct connection whose whole session is configured, so `create index concurrently` works.

    Transactions apply their settings themselves, as on any connection.
    """

    def __init__(self, url: str) -> None:
        super().__init__(lambda: _connect(url), AS_COMMAND)

    def _around(self) -> tuple[str, str]:
        return super()._around() if self._in_transaction else ("", "")


def _connect(url: str) -> Any:
    connection = connect(url)
    connection.run(whole_session(AS_COMMAND))
    return connection
