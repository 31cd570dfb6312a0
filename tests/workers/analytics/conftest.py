"""Fixtures of the tests of the hourly job."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.workers.analytics.warehouse import Warehouse


@pytest.fixture
def warehouse(database: str) -> Iterator[Warehouse]:
    warehouse = Warehouse(database)
    with closing(warehouse.db), closing(warehouse.worker):
        yield warehouse
