"""The demo's deliveries: who gets a message, and that its comparison finds errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import pytest

from delivery.worker import WORKER
from mauntic.database.embedded.server import temporary_server
from mauntic.database.migrations import migrate
from mauntic.database.url import connect
from mauntic.demo import deliveries
from mauntic.demo.deliveries import captured_mailings, provider_mailings
from mauntic.demo.importer import hillstrom_contacts, hillstrom_customers, load_contacts, rows_of
from mauntic.demo.loopback.accounts import new_accounts
from mauntic.local.control_client import LocalRuntime
from mauntic.operations.connection import database_at

FEW = 8_000


def of_the_file(**conditions: str) -> int:
    """Count rows of the file; `history` is the least amount."""
    least = float(conditions.pop("history"))
    return sum(
        float(row["history"]) >= least
        and all(row[name] == value for name, value in conditions.items())
        for row in rows_of("hillstrom.csv.gz")
    )


def test_the_recipients_are_those_of_the_file() -> None:
    customers = list(hillstrom_customers())
    sizes = [len(own.recipients) for own in captured_mailings(customers)]
    assert sizes == [
        of_the_file(history="1000", segment="Womens E-Mail", channel="Phone"),
        of_the_file(history="1000", segment="No E-Mail", channel="Web"),
    ]
    mailings = provider_mailings(customers, new_accounts())
    assert sum(len(own.recipients) for own in mailings) == of_the_file(history="1500")
    rural = of_the_file(history="1500", zip_code="Rural")
    assert sum(own.refused for own in mailings) == rural > 8
    addresses = {own.address_of(customer) for own in mailings for customer in own.recipients}
    assert len(addresses) == of_the_file(history="1500")


@pytest.fixture
def runtime() -> Iterator[LocalRuntime]:
    """The delivery worker in its local mode, over a database with the retailer's contacts."""
    with temporary_server(in_memory=True) as server:
        migrate(server.url)
        with closing(connect(server.url)) as connection:
            load_contacts(connection, islice(hillstrom_contacts(), FEW))
        with LocalRuntime(server.url, envs=[WORKER.env]) as running:
            yield running


@pytest.mark.e2e
def test_each_message_is_captured_or_taken_and_counted(
    runtime: LocalRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the ledger is found as well."""
    few = list(islice(hillstrom_customers(), FEW))
    monkeypatch.setattr(deliveries, "hillstrom_customers", lambda: few)
    checked = deliveries.deliver(runtime)
    assert checked.is_right, checked.rows
    assert [row["provider"] for row in checked.rows] == [
        *["captured"] * 2, "ses", "sendgrid", "postmark", "resend", "mailgun", "twilio", "fcm",
        "webpush",
    ]  # fmt: skip
    with closing(connect(runtime.database_url)) as connection:
        connection.run("update delivery.messages set state = 'failed' where channel = 'sms'")
    assert not any(row["equal"] for row in again(runtime, few) if row["channel"] == "sms")


def again(runtime: LocalRuntime, customers: list[Any]) -> list[dict[str, Any]]:
    """Compare the mailings that were captured once more."""
    with closing(database_at(runtime.database_url)) as database:
        return [
            deliveries._row(database, own, deliveries._captured(database, runtime, own))
            for own in captured_mailings(customers)
        ]
