"""The delivery worker on the local runtime in live mode, with imitated providers for the real."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from delivery.worker import WORKER
from mauntic.database.url import connect
from mauntic.demo.loopback.accounts import Accounts, encrypted
from mauntic.demo.loopback.provider import Entry, Outcome
from mauntic.demo.loopback.server import Loopback, serving
from mauntic.local.control_client import Event, LocalRuntime
from shared.ports import Row
from tests.shared.toy import rows_of

KEY = "0f" * 32
CHANNELS = {"twilio": "sms", "fcm": "push", "webpush": "push"}
ENDPOINT = "https://updates.push.services.mozilla.com/wpush/v2/"
VARIABLES = {
    "PROVIDER_KEY": KEY,
    "HOOKS_BASE_URL": "https://hooks.example",
    "UNSUBSCRIBE_KEYS": "a key",
    "HOOK_KEYS": "a key",
}
SETUP = """
insert into delivery.organization_settings (organization_id, from_address, postal_address)
select id, 'Acme <news@acme.example>', '1 Road, Town'
from jsonb_to_recordset(cast(:rows as jsonb)) as own (id uuid);
insert into delivery.sending_domains (organization_id, domain, status, created_at)
select id, 'acme.example', 'verified', now() - interval '400 days'
from jsonb_to_recordset(cast(:rows as jsonb)) as own (id uuid);
insert into delivery.provider_configs (organization_id, channel, provider_type, config)
select id, channel, provider, config
from jsonb_to_recordset(cast(:rows as jsonb)) as own (
    id uuid, channel text, provider text, config jsonb
)
"""
CONTACTS = """
insert into crm.contacts (id, organization_id, email)
select contact, organization, case channel when 'email' then address end
from jsonb_to_recordset(cast(:rows as jsonb)) as own (
    contact uuid, organization uuid, channel text, address text
)
where contact is not null;
insert into delivery.device_tokens (organization_id, contact_id, kind, token, p256dh, auth)
select organization, contact, provider, address, p256dh, auth
from jsonb_to_recordset(cast(:rows as jsonb)) as own (
    organization uuid, contact uuid, channel text, provider text, address text, p256dh text,
    auth text
)
where channel = 'push'
"""
ENQUEUE = """
select delivery.enqueue(
    organization, channel, 'key of ' || address, contact_id => contact,
    address => case when contact is null then address end, class => class,
    content => jsonb_build_object(
        'subject', 'Hello', 'title', 'Hello', 'text', 'For {{variables.to}}'
    ),
    variables => jsonb_build_object('to', address)
)
from jsonb_to_recordset(cast(:rows as jsonb)) as own (
    organization uuid, channel text, contact uuid, address text, class text
)

"""


@dataclass(frozen=True)
class Asked:
    """A message that the platform asks for."""

    organization: UUID
    provider: str
    address: str
    message_class: str


@dataclass
class Sending:
    """The runtime, its database, and the providers."""

    url: str
    runtime: LocalRuntime
    loopback: Loopback
    accounts: Accounts
    outcomes: dict[str, Outcome]
    events: list[Event] = field(default_factory=list)
    _sweeps: int = 0
    _configs: dict[str, str] = field(default_factory=dict)

    def rows(self, sql: str, **parameters: Any) -> list[Row]:
        with rows_of(self.url) as look:
            return look(sql, **parameters)

    def ask(
        self,
        provider: str,
        number: int,
        count: int,
        outcome: Outcome = "accept",
        message_class: str = "transactional",
        **secrets: str,
    ) -> list[Asked]:
        """Enqueue messages of a new organization with this provider; each has an address."""
        organization = UUID(int=number)
        channel = CHANNELS.get(provider, "email")
        config = self._config(provider, secrets)
        row = {"id": str(organization), "channel": channel, "provider": provider, "config": config}
        names = [address(provider, outcome, number, place) for place in range(count)]
        self.outcomes |= dict.fromkeys(names, outcome)
        asked = [Asked(organization, provider, name, message_class) for name in names]
        with closing(connect(self.url)) as connection:
            connection.run("begin")
            for statement in SETUP.split(";"):
                connection.run(statement, rows=json.dumps([row]))
            rows = json.dumps([self._row(own, channel, n) for n, own in enumerate(asked)])
            for statement in [*CONTACTS.split(";"), ENQUEUE]:
                connection.run(statement, rows=rows)
            connection.run("commit")
        return asked

    def _config(self, provider: str, secrets: dict[str, str]) -> str:
        key = f"{provider} {secrets}"
        if key not in self._configs:
            found = {**self.accounts.secrets[provider], **secrets}
            self._configs[key] = encrypted(found, KEY)
        return self._configs[key]

    def _row(self, own: Asked, channel: str, place: int) -> dict[str, Any]:
        has_contact = channel == "push" or own.message_class == "marketing"
        contact = UUID(int=own.organization.int * 10_000 + place)
        return {
            "organization": str(own.organization), "channel": channel, "provider": own.provider,
            "contact": str(contact) if has_contact else None, "address": own.address,
            "class": own.message_class,
            **(self.accounts.device if own.provider == "webpush" else {}),
        }  # fmt: skip

    def sweep(self) -> None:
        """Run the sweep and its feeder, as a cron of another five minutes does."""
        self._sweeps += 1
        planned = datetime(2026, 3, 1, tzinfo=UTC) + self._sweeps * timedelta(minutes=5)
        body = {"type": "delivery.sweep", "scheduledFor": planned.isoformat()}
        self.runtime.control.send(WORKER.main_queue.name, [body])

    def became(self, asked: Sequence[Asked]) -> dict[str, Row]:
        """The rows of messages by address."""
        found = self.rows(
            "select coalesce(token.token, message.address) as to, message.* from delivery.messages"
            " as message left join delivery.device_tokens as token on token.id = message.device_id"
            " where message.organization_id = any(:organizations)",
            organizations=list({own.organization for own in asked}),
        )
        return {row["to"]: row for row in found}

    def settled(self, asked: Sequence[Asked], timeout_s: float = 45) -> dict[str, Row]:
        """Feed messages, and wait until each has been called, or waits for another day."""
        self.sweep()
        wanted = {own.address for own in asked}
        until(lambda: wanted <= self._at_rest(asked).keys(), timeout_s)
        return self.became(asked)

    def _at_rest(self, asked: Sequence[Asked]) -> dict[str, Row]:
        found = self.became(asked).items()
        return {
            to: row
            for to, row in found
            if row["finished_at"] or row["state"] == "uncertain" or row["deferrals"]
            or row["retries"] or row["state"] == "deferred"
        }  # fmt: skip

    def taken(self, own: Asked) -> int:
        """How many times the provider has taken the message."""
        return self.loopback.times_taken(own.provider)[own.address]


def address(provider: str, outcome: str, organization: int, place: int) -> str:
    """An address that no other message has."""
    if provider == "twilio":
        return f"+1415{organization:04}{place:03}"
    if provider in ("fcm", "webpush"):
        return f"{ENDPOINT if provider == 'webpush' else ''}{outcome}-{organization}-{place}"
    return f"{outcome}.{place}@o{organization}.example"


def until(condition: Callable[[], bool], timeout_s: float = 15) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.1)


@contextmanager
def sending(
    url: str, accounts: Accounts, mode: str = "live", outcomes: dict[str, Outcome] | None = None
) -> Iterator[Sending]:
    """The worker in that mode, over a migrated database. What no outcome names is accepted."""
    found: dict[str, Outcome] = outcomes if outcomes is not None else {}

    def rule(provider: str, entry: Entry) -> Outcome:
        outcome = found.get(entry.to, "accept")
        if outcome in ("throttle", "unavailable"):
            found[entry.to] = "accept"  # the next time
        return outcome

    events: list[Event] = []
    with (
        serving(Loopback(accounts.providers(), rule)) as loopback,
        LocalRuntime(
            url,
            envs=[WORKER.env],
            variables={**VARIABLES, "DELIVERY_MODE": mode},
            connected_hosts=loopback.hosts,
            on_event=events.append,
        ) as runtime,
    ):
        yield Sending(url, runtime, loopback, accounts, found, events)
