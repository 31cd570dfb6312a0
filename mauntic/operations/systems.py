"""Open the system that a command works on: the running local one or the deployed one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mauntic.errors import OperatorError
from mauntic.operations.system import System

if TYPE_CHECKING:  # slow to import
    from shared.adapters.postgres.client import Postgres


@contextmanager
def open_system(*, remote: bool) -> Iterator[System]:
    """Yield the deployed system if `remote`, otherwise the running local one."""
    if remote:
        from mauntic.operations.vendor.system import open_remote

        with open_remote(os.environ) as deployed:
            yield deployed
    else:
        from mauntic.operations.connection import open_control
        from mauntic.operations.local_system import LocalSystem

        with open_control() as control:
            yield LocalSystem(control)


@contextmanager
def open_records(*, remote: bool) -> Iterator[Postgres]:
    """Yield the database with the ledger; `remote` requires DATABASE_URL."""
    from mauntic.operations.connection import open_database, open_deployed

    if remote and not os.environ.get("DATABASE_URL"):
        raise OperatorError("--remote needs the deployed database too: set DATABASE_URL.")
    with open_deployed() if remote else open_database() as database:
        yield database
