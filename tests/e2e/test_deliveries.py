"""Deliveries over real parts: from a row, through queues and the worker, to providers that count.

A provider's count is the proof: what is sent was taken once, and what is unknown is not repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import count

import pytest

from mauntic.database.embedded.server import temporary_server
from mauntic.database.migrations import migrate
from mauntic.database.url import connect, with_database
from mauntic.demo.loopback.accounts import PROVIDERS, Accounts, new_accounts
from mauntic.demo.loopback.provider import Outcome
from tests.e2e.sending import Asked, Sending, sending

pytestmark = pytest.mark.e2e

NAMES = [provider.name for provider in PROVIDERS]
BULK = ["ses", "sendgrid", "postmark", "resend"]
EMAIL = [*BULK, "mailgun"]
NUMBERS = count(1)


@pytest.fixture(scope="module")
def accounts() -> Accounts:
    return new_accounts()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with temporary_server(in_memory=True) as server:
        migrate(server.url)
        yield server.url


@pytest.fixture(scope="module")
def live(database: str, accounts: Accounts) -> Iterator[Sending]:
    with sending(database, accounts) as running:
        yield running


def ask_each(
    system: Sending, providers: list[str], outcomes: list[Outcome], size: int
) -> list[Asked]:
    """Messages of an organization for each provider and outcome, marketing where it needs no
    consent."""
    return [
        own
        for outcome in outcomes
        for name in providers
        for own in system.ask(
            name, next(NUMBERS), size, outcome, "marketing" if name in EMAIL else "transactional"
        )
    ]


def test_each_message_is_taken_once(live: Sending) -> None:
    """By every provider, alone or in bulk; the ledger has as many as the provider."""
    asked = ask_each(live, NAMES, ["accept"], 7)
    became = live.settled(asked)
    assert {own.address: became[own.address]["state"] for own in asked} == dict.fromkeys(
        [own.address for own in asked], "sent"
    )
    assert [live.taken(own) for own in asked] == [1] * len(asked)
    assert all(row["attempts"] == 1 and row["provider_message_id"] for row in became.values())
    [calls] = live.rows(
        "select sum(message_count) as messages, count(*) as calls from delivery.calls"
    )
    assert (calls["messages"], calls["calls"]) == (len(asked), sum(live.loopback.calls.values()))
    assert all(live.loopback.calls[name] < 7 for name in BULK)
    events = live.rows(
        "select event_type, count(*) as count from analytics.contact_activity group by 1"
    )
    assert {row["event_type"]: row["count"] for row in events} == {
        "email_sent": 35,
        "push_sent": 14,
    }
    assert live.loopback.refusals == []


# What the providers publish: these report at once that a recipient is gone, the others later.
REPORTS_INACTIVE = {"postmark", "twilio", "fcm", "webpush"}
UNKNOWN: list[Outcome] = ["lost", "unread", "silent", "cut", "garbled"]


def expected(own: Asked, outcome: Outcome) -> tuple[str, int]:
    """The state of a message, and how many times the provider takes it."""
    if outcome == "reject":
        return ("failed", 0)
    if outcome == "inactive":
        return ("skipped", 0) if own.provider in REPORTS_INACTIVE else ("sent", 1)
    return ("uncertain", 0 if outcome in ("lost", "unread") else 1)


def test_refusals_and_broken_connections(live: Sending) -> None:
    """A refusal ends a message. An unknown outcome is kept, and no call follows it."""
    outcomes: list[Outcome] = ["reject", "inactive", *UNKNOWN]
    asked = ask_each(live, NAMES, [own for own in outcomes if own != "unread"], 2)
    [late] = live.ask("webpush", next(NUMBERS), 1)
    live.loopback.late[late.address] = 16.5  # longer than a call may take
    became = live.settled([*asked, late])
    found = {own: (became[own.address]["state"], live.taken(own)) for own in asked}
    assert found == {own: expected(own, live.outcomes[own.address]) for own in asked}
    assert became[late.address]["state"] == "uncertain"
    assert live.loopback.refusals == []


def test_only_what_may_be_repeated_is_repeated(live: Sending) -> None:
    """A push gets one more call, since its device shows it once; e-mails and texts get none, not
    even after two days, when they are final."""
    asked = ask_each(live, NAMES, ["silent"], 1)
    first = live.settled(asked)
    assert {row["state"] for row in first.values()} == {"uncertain"}
    for _ in range(2):
        pass_hours(live, asked, 49)
        live.sweep()
        assert live.runtime.control.wait_idle(timeout_s=30)
    last = live.became(asked)
    for own in asked:
        times = 2 if own.provider in ("fcm", "webpush") else 1
        row = last[own.address]
        assert (live.taken(own), row["attempts"]) == (times, times)
        assert (row["state"], row["possible_duplicate"]) == ("uncertain", times == 2)
        assert row["finished_at"] is not None


def pass_hours(live: Sending, asked: list[Asked], hours: int) -> None:
    live.rows(
        "update delivery.messages set called_at = called_at - cast(:ago as interval)"
        " where organization_id = any(:own) returning id",
        ago=f"{hours} hours", own=[own.organization for own in asked],
    )  # fmt: skip


def test_a_provider_that_is_busy_gets_the_message_later(live: Sending) -> None:
    asked = ask_each(live, NAMES, ["throttle", "unavailable"], 2)
    became = live.settled(asked)
    for own in asked:
        row = became[own.address]
        assert row["deferrals"] + row["retries"] == 1
        assert live.taken(own) == (row["state"] == "sent")


def test_refused_credentials_pause_the_configuration(live: Sending) -> None:
    asked = [own for name in NAMES for own in live.ask(name, next(NUMBERS), 1, "credentials")]
    became = live.settled(asked)
    assert {(row["state"], row["reason"]) for row in became.values()} == {
        ("deferred", "no_provider")
    }
    assert sum(live.taken(own) for own in asked) == 0


def test_a_host_that_is_not_connected_is_not_called(live: Sending) -> None:
    """Though the settings allow it, and the worker is live."""
    before = Counter(live.loopback.calls)
    asked = live.ask("mailgun", next(NUMBERS), 2, region="eu")
    became = live.settled(asked)
    assert {(row["state"], row["reason"]) for row in became.values()} == {
        ("deferred", "no_provider")
    }
    [config] = live.rows(
        "select paused_reason, paused_until = 'infinity' as is_paused"
        " from delivery.provider_configs where organization_id = :own", own=asked[0].organization
    )  # fmt: skip
    assert config == {"paused_reason": "http_refused", "is_paused": True}
    attempts = live.rows(
        "select distinct verdict, code from delivery.attempts join delivery.messages as message"
        " on message.id = message_id where organization_id = :own", own=asked[0].organization
    )  # fmt: skip
    assert attempts == [{"verdict": "pause", "code": "http_refused"}]
    assert live.loopback.calls == before


def test_without_a_mode_nothing_is_sent(database: str, accounts: Accounts) -> None:
    """Every decision is made, and no provider is called."""
    with closing(connect(database)) as connection:
        connection.run("create database shadow")
    url = with_database(database, "shadow")
    migrate(url)
    with sending(url, accounts, mode="") as system:
        asked = ask_each(system, NAMES, ["accept"], 2)
        became = system.settled(asked)
        assert {(row["state"], row["reason"]) for row in became.values()} == {
            ("skipped", "captured")
        }
        assert len(became) == len(asked)
        assert (system.loopback.calls, system.loopback.taken) == (Counter(), [])
        assert system.rows("select 1 from delivery.attempts") == []
