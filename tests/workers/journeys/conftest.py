"""A stage with a platform and a worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.workers.journeys.stage import Stage


@pytest.fixture
def stage(database: str) -> Iterator[Stage]:
    found = Stage(database)
    with closing(found):
        yield found
