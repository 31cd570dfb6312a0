"""The demo's deliveries: messages to the retailer's customers who spend most.

The local runtime captures those of the retailer. Each imitated provider gets the customers of
another shop; it refuses addresses in the country, and counts what it takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from delivery.worker import WORKER
from mauntic.demo.checks import Check, format_pair
from mauntic.demo.importer import NAMESPACE, RETAILER, Customer, hillstrom_customers
from mauntic.demo.loopback.accounts import Accounts, encrypted, new_accounts
from mauntic.demo.loopback.provider import Entry, Outcome
from mauntic.demo.loopback.server import Loopback, serving
from mauntic.demo.waiting import wait_until
from mauntic.local.control_client import LocalRuntime
from mauntic.operations.captured_mail import BUCKET
from mauntic.operations.connection import database_at
from mauntic.operations.statements import SQL
from shared.adapters.postgres.client import Postgres
from shared.ports import Row

GOOD_CUSTOMER, BEST_CUSTOMER = 1_000, 1_500  # US dollars a year
ENDPOINT = "https://updates.push.services.mozilla.com/wpush/v2/"
KEY = "0f" * 32  # of configurations that lead nowhere
CAPTURED = "captured"
PLANNED = datetime(2019, 12, 2, tzinfo=UTC)


@dataclass(frozen=True, repr=False)
class Mailing:
    """Messages of one organization in one channel. `refused` are those that end as failed."""

    organization_id: UUID
    channel: str
    provider: str
    recipients: Sequence[Customer]

    @property
    def refused(self) -> int:
        """How many addresses the provider does not accept, by the file."""
        is_captured = self.provider == CAPTURED
        return 0 if is_captured else sum(map(is_in_the_country, self.recipients))

    def address_of(self, customer: Customer) -> str:
        """Return an address that no other customer of the provider has."""
        place = "rural" if is_in_the_country(customer) else "town"
        if self.channel == "email":
            return f"customer{customer.number}@{place}.example"
        if self.channel == "sms":
            return f"+1{201 if place == 'rural' else 202}{customer.number:07}"
        return f"{ENDPOINT if self.provider == 'webpush' else ''}{place}-{customer.number}"


def is_in_the_country(customer: Customer) -> bool:
    return customer.zip_area == "Rural"


def captured_mailings(customers: Iterable[Customer]) -> list[Mailing]:
    """Return the retailer's own messages: a channel for each of two groups of its test. The third
    gets a campaign."""
    good = [own for own in customers if own.history >= GOOD_CUSTOMER]
    chosen = {
        "sms": [own for own in good if (own.segment, own.channel) == ("Womens E-Mail", "Phone")],
        "push": [own for own in good if (own.segment, own.channel) == ("No E-Mail", "Web")],
    }
    return [Mailing(RETAILER, channel, CAPTURED, own) for channel, own in chosen.items()]


def provider_mailings(customers: Iterable[Customer], accounts: Accounts) -> list[Mailing]:
    """Return a mailing through each provider; they share the best customers."""
    best = [own for own in customers if own.history >= BEST_CUSTOMER]
    providers = accounts.providers()
    return [
        Mailing(
            uuid5(NAMESPACE, f"organisation/shop of {provider.name}"),
            provider.channel,
            provider.name,
            [own for own in best if own.number % len(providers) == place],
        )
        for place, provider in enumerate(providers)
    ]


def deliver(runtime: LocalRuntime) -> Check:
    """Send every mailing and compare what was asked for with what was captured or taken, and with
    the ledger."""
    customers = list(hillstrom_customers())
    accounts = new_accounts()
    with closing(database_at(runtime.database_url)) as database:
        captured = _send(database, runtime, captured_mailings(customers), accounts)
        with _providers(accounts) as loopback, _live(runtime, loopback) as live:
            taken = _send(database, live, provider_mailings(customers, accounts), accounts)
            rows = [_row(database, own, _captured(database, runtime, own)) for own in captured]
            for own in taken:
                counts = loopback.times_taken(own.provider).values()
                rows.append(_row(database, own, sum(counts)))
    return Check(
        "Deliveries, compared with the file and with what was captured or taken by providers",
        rows,
        all(row["equal"] for row in rows),
    )


def _providers(accounts: Accounts) -> Any:
    def rule(provider: str, entry: Entry) -> Outcome:
        is_refused = "rural" in entry.to or entry.to.startswith("+1201")
        return "reject" if is_refused else "accept"

    return serving(Loopback(accounts.providers(), rule))


def _live(runtime: LocalRuntime, loopback: Loopback) -> LocalRuntime:
    """Return a runtime that sends: to the imitated providers, and to no other host."""
    return LocalRuntime(
        runtime.database_url,
        envs=[WORKER.env],
        variables={
            "DELIVERY_MODE": "live",
            "PROVIDER_KEY": KEY,
            "HOOKS_BASE_URL": "https://hooks.example",
            "UNSUBSCRIBE_KEYS": "of the demo",
            "HOOK_KEYS": "of the demo",
        },
        connected_hosts=loopback.hosts,
        on_event=runtime.on_event,
    )


def _send(
    database: Postgres, runtime: LocalRuntime, mailings: list[Mailing], accounts: Accounts
) -> list[Mailing]:
    """Enqueue the messages, run the sweep, which feeds the queues, and wait for every answer."""
    for mailing in mailings:
        _enqueue(database, mailing, accounts)
    planned = PLANNED if mailings[0].provider == CAPTURED else PLANNED.replace(minute=5)
    body = {"type": "delivery.sweep", "scheduledFor": planned.isoformat()}
    runtime.control.send(WORKER.main_queue.name, [body])
    wait_until(
        lambda: not database.rows(SQL["demo_open_messages"])[0]["messages"],
        "The messages were not finished",
    )
    return mailings


def _enqueue(database: Postgres, mailing: Mailing, accounts: Accounts) -> None:
    is_captured, is_push = mailing.provider == CAPTURED, mailing.channel == "push"
    config = None if is_captured else encrypted(accounts.secrets[mailing.provider], KEY)
    of_contacts = is_captured or is_push
    recipients = [
        {
            "number": own.number,
            "contact_id": str(_contact(mailing, own)) if of_contacts else None,
            "address": mailing.address_of(own),
            **(accounts.device if mailing.provider == "webpush" else {}),
        }
        for own in mailing.recipients
    ]
    device = None if not is_push else "webpush" if mailing.provider == "webpush" else "fcm"
    is_marketing = is_captured and mailing.channel == "email"
    given = {"organization_id": mailing.organization_id, "recipients": json.dumps(recipients)}
    with database.transaction():
        database.execute(
            SQL["demo_sender"],
            organization_id=mailing.organization_id,
            channel=mailing.channel,
            provider=mailing.provider,
            config=None if config is None else json.dumps(config),
        )
        database.execute(SQL["demo_recipients"], **given, device=device)
        database.rows(
            SQL["demo_enqueue"],
            **given,
            channel=mailing.channel,
            device=device,
            **{"class": "marketing" if is_marketing else "transactional"},
        )


def _contact(mailing: Mailing, customer: Customer) -> UUID:
    """Return the customer's contact of the organization."""
    is_retailer = mailing.organization_id == RETAILER
    return customer.id if is_retailer else uuid5(mailing.organization_id, str(customer.number))


def _captured(database: Postgres, runtime: LocalRuntime, mailing: Mailing) -> int:
    """Return how many objects in the bucket are messages of the mailing."""
    ids = {found for row in _states(database, mailing) for found in row["ids"]}
    keys = {found["key"].rpartition("/")[2] for found in runtime.control.objects(BUCKET)}
    return len(ids & keys)


def _states(database: Postgres, mailing: Mailing) -> list[Row]:
    return database.rows(
        SQL["demo_states"], organization_id=mailing.organization_id, channel=mailing.channel
    )


def _row(database: Postgres, mailing: Mailing, arrived: int) -> dict[str, Any]:
    """Compare a mailing: what arrived, and the ledger's sent and failed, with the file."""
    states = {row["state"]: row["messages"] for row in _states(database, mailing)}
    asked, refused = len(mailing.recipients), mailing.refused
    sent, failed = states.get("sent", 0), states.get("failed", 0)
    found, expected = (arrived, sent, failed), (asked - refused, asked - refused, refused)
    return {
        "channel": mailing.channel,
        "provider": mailing.provider,
        "asked": asked,
        "captured_or_taken": format_pair(arrived, expected[0]),
        "sent": format_pair(sent, expected[1]),
        "refused": format_pair(failed, expected[2]),
        "equal": found == expected and sum(states.values()) == asked > 0,
    }
