from collections.abc import Iterator

import pytest

from tests.e2e.sabotage import Sabotaged, sabotaged_project
from tests.e2e.system import System, started
from tests.e2e.watcher import Watcher, watching


@pytest.fixture(scope="session")
def watcher() -> Iterator[Watcher]:
    with watching() as watcher:
        yield watcher


@pytest.fixture(scope="session")
def running_system(tmp_path_factory: pytest.TempPathFactory, watcher: Watcher) -> Iterator[System]:
    metrics = tmp_path_factory.mktemp("e2e") / "metrics.jsonl"
    with started(metrics=metrics, variables={"HEARTBEAT_URL": watcher.url}) as system:
        yield system


@pytest.fixture
def system(running_system: System) -> System:
    """The one system of all tests, empty."""
    running_system.forget()
    return running_system


@pytest.fixture(scope="session")
def running_saboteur(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sabotaged]:
    folder = tmp_path_factory.mktemp("saboteur")
    with started(sabotaged_project(folder), metrics=folder / "metrics.jsonl") as system:
        yield Sabotaged(system)


@pytest.fixture
def sabotaged(running_saboteur: Sabotaged) -> Sabotaged:
    """The one system with planned faults, empty and without a plan."""
    running_saboteur.plan()
    running_saboteur.system.forget()
    return running_saboteur
