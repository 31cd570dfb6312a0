from collections.abc import Iterator
from pathlib import Path

import pytest

from mauntic.database.embedded.server import Server as PostgresServer
from tests.mauntic.local.runtime.harness import Server, running, write_project
from tests.mauntic.local.runtime.upstream import upstream_server


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("toy")).parent


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    with upstream_server() as origin:
        yield origin


@pytest.fixture(scope="session")
def shared_server(project: Path, postgres: PostgresServer, upstream: str) -> Iterator[Server]:
    config = {
        "databaseUrl": postgres.url,
        "config": str(project / "wrangler.toml"),
        "persist": str(project / ".local"),
        "metricsFile": str(project / ".local" / "metrics.jsonl"),
        "vars": {"GATE": "false"},
        "allowedHosts": ["allowed.invalid"],
        "connectedHosts": {
            "connected.example": upstream,
            "abroad.example": "http://192.0.2.1:80",
        },
    }
    with running(config) as server:
        yield server


@pytest.fixture
def server(shared_server: Server) -> Server:
    """The one server of all tests, with empty queues and an empty toy memory."""
    assert shared_server.wait_idle()["idle"]
    shared_server.ask("/forget")
    shared_server.pass_over_events()
    return shared_server
