"""The database of the tests: one temporary server per session, one migrated database per test."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from mauntic.database.embedded.server import Server, temporary_server
from mauntic.database.migrations import DIRECTORY, migrate
from mauntic.database.url import connect, with_database
from tests.groups import InGroups
from tests.roles import make_roles
from tests.scratch import scratch_database
from tests.thorough import THOROUGH

TEMPLATE = "migrated"

# A busy machine makes examples slow, so no test fails for the time of one. `make test` draws the
# same examples each time, `make thorough` new ones.
settings.register_profile(
    "suite",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=not THOROUGH,
)
settings.load_profile("suite")

# The longest tests start first: started last, they would keep one process busy and the other idle.
LONGEST = (
    "tests/sim/",
    "tests/tools/test_weigh.py",
    "tests/tools/test_new_job.py",
    "tests/mauntic/cli/commands/test_dev.py",
    "tests/mauntic/cli/commands/test_demo.py",
    "tests/mauntic/local/runtime/",
    "tests/workers/analytics/test_corrections.py",
    "tests/shared/tick/test_claims.py",
    "tests/workers/analytics/store/test_hours.py",
    "tests/workers/scoring/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> InGroups:
    """Called if tests run in parallel."""
    return InGroups(config, log)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server; its data are lost with the session.

    `TEST_POSTGRES` names the directory of a running server that several sessions share.
    """
    home = os.environ.get("TEST_POSTGRES")
    with Server(Path(home), durable=False) if home else temporary_server(in_memory=True) as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Server) -> str:
    """Return the name of a template database with every migration applied."""
    with closing(connect(postgres.url)) as admin:
        if admin.run("SELECT FROM pg_database WHERE datname = :name", name=TEMPLATE):
            return TEMPLATE  # from an earlier session on the same server
        admin.run(f"CREATE DATABASE {TEMPLATE}")
        if any(DIRECTORY.glob("*.sql")):
            migrate(with_database(postgres.url, TEMPLATE))
            make_roles(with_database(postgres.url, TEMPLATE))
        admin.run(f"ALTER DATABASE {TEMPLATE} IS_TEMPLATE true ALLOW_CONNECTIONS false")
    return TEMPLATE


@pytest.fixture
def database(postgres: Server, migrated: str) -> Iterator[str]:
    """Yield the URL of a new database with the schema, for this test (about 30 ms)."""
    with scratch_database(postgres, migrated) as url:
        yield url
