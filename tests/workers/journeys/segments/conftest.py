"""The stage of the tests of segments."""

from collections.abc import Iterator

import pytest

from tests.workers.journeys.segments.stage import Stage, opened


@pytest.fixture
def stage(database: str) -> Iterator[Stage]:
    """An empty platform, new for this test."""
    with opened(database) as stage:
        yield stage
