from collections.abc import Iterator

import pytest

from tests.e2e.system import System, started


@pytest.fixture(scope="session")
def running_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    metrics = tmp_path_factory.mktemp("e2e") / "metrics.jsonl"
    with started(metrics=metrics) as system:
        yield system


@pytest.fixture
def system(running_system: System) -> System:
    """The one system of all tests, with nothing in it."""
    running_system.forget()
    return running_system
