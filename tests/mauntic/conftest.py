"""An operator's environment: a database, an account at the vendor, and the command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from analytics.worker import WORKER
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from tests.mauntic import vendor as vendors
from tests.mauntic.harness import DLQ, QUEUE, Cli, Consumer, consuming
from tests.mauntic.vendor import Vendor
from tests.roles import url_of_worker


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: str) -> Cli:
    """The command on a fresh database, without any system."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("DATABASE_URL_WORKERS", url_of_worker(database))
    monkeypatch.setenv("COLUMNS", "250")
    for name in ("CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return Cli(monkeypatch, capsys)


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> Iterator[Vendor]:
    """The account that `--remote` works on, with the queues of the analytics worker."""
    with vendors.running() as account:
        account.add_queue(QUEUE, WORKER.name)
        account.add_queue(DLQ, WORKER.name)
        monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", vendors.ACCOUNT)
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", vendors.TOKEN)
        monkeypatch.setenv("CLOUDFLARE_API_BASE_URL", account.url)
        yield account


@pytest.fixture
def db(database: str) -> Iterator[Postgres]:
    """The same database, for setup and inspection."""
    with closing(Postgres(lambda: connect(database))) as opened:
        yield opened


@pytest.fixture
def consumer(vendor: Vendor, database: str) -> Iterator[Consumer]:
    """The worker behind the vendor's queue."""
    with consuming(database) as working:
        vendor.on_sent = working.take
        yield working
