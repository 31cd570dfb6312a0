"""The SQL of a claim and the checks in plain Python come to the same result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.reference.checks import (
    LATER,
    Config,
    Contact,
    Device,
    Message,
    Organization,
    Result,
    Settings,
    Suppression,
    within_rate,
)
from delivery.sending.lane import permitted_types
from delivery.store import claims
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from tests.thorough import THOROUGH
from tests.workers.delivery.stage import NOW

ORG = UUID(int=1)
ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Pacific/Auckland", "Europe/Berlin")
TYPES = {"email": ("postmark", "cloudflare", "ses"), "sms": ("twilio",), "push": ("fcm", "webpush")}
EMAILS = ("a@people.example", "B@People.example", "no address", "c@straße.example")
PHONES = ("+1 415 555 2671", "0171 123", "+4915112345678")


class _Undo(Exception):
    """Rolls a transaction back."""


@dataclass
class Example:
    """An organization in plain Python, and the messages to claim, the oldest first."""

    organization: Organization
    claiming: list[Message]
    now: datetime


@pytest.fixture(scope="module")
def db(postgres: Any, migrated: str) -> Iterator[Postgres]:
    from tests.scratch import scratch_database

    with (
        scratch_database(postgres, migrated) as url,
        closing(Postgres(lambda: connect(url))) as found,
    ):
        yield found


@contextmanager
def undone(db: Postgres) -> Iterator[None]:
    try:
        with db.transaction():
            yield
            raise _Undo
    except _Undo:
        pass


maybe = st.sampled_from


@st.composite
def examples(draw: Any) -> Example:
    channel = draw(maybe(["email", "email", "sms", "push"]))
    now = NOW + timedelta(minutes=draw(st.integers(0, 24 * 60)))
    own = [uuid4() for _ in range(3)]
    contacts = {uid: draw(contact()) for uid in own[:2]}  # the third does not exist
    devices = {
        uid: [Device(uuid4(), draw(maybe(TYPES["push"])), draw(st.booleans())) for _ in range(2)]
        for uid in own[:2]
    }
    configs = draw(st.lists(config(channel, now), max_size=3))
    organization = Organization(
        settings=draw(organization_settings(channel))
        if draw(maybe([True] * 5 + [False]))
        else None,
        contacts=contacts,
        devices=devices,
        suppressions=draw(suppressions(channel, devices, now)),
        verified_domains=frozenset(draw(maybe([["acme.example"]] * 5 + [[]]))),
        configs=configs,
        messages=[],
        permitted={name: frozenset(types) for name, types in permitted_types(channel).items()},
        captures=draw(st.booleans()),
    )
    jobs = [None, uuid4()]
    for number in range(draw(st.integers(1, 3))):
        organization.messages.append(draw(earlier(channel, own[:2], jobs, now, number)))
    claiming = [
        draw(waiting(channel, uid, jobs, configs, now, number))
        for number, uid in enumerate(
            draw(st.lists(maybe([*own, *own[:2], *own[:2]]), min_size=1, max_size=3))
        )
    ]
    organization.messages.extend(claiming)
    return Example(organization, claiming, now)


def contact() -> st.SearchStrategy[Contact]:
    preferences = st.fixed_dictionaries(
        {},
        optional={name: maybe([True] * 5 + [False, None]) for name in ("email", "sms", "push")},
    )
    custom = st.fixed_dictionaries(
        {},
        optional={
            "_consent_preferences": preferences,
            "_consent_marketing_opt_in": st.booleans(),
        },
    )
    return st.builds(
        Contact,
        email=maybe([EMAILS[0]] * 6 + [*EMAILS, None]),
        phone=maybe([PHONES[0]] * 6 + [*PHONES, None]),
        status=maybe(["active"] * 8 + ["unsubscribed"] * 2 + ["bounced", "do_not_contact"]),
        custom_fields=custom,
        time_zone=maybe([None, None, *ZONES]),
    )


def organization_settings(channel: str) -> st.SearchStrategy[Settings]:
    quiet = maybe([(None, None)] * 2 + [(time(20), time(9)), (time(9), time(17)), (time(8),) * 2])
    cap = st.fixed_dictionaries(
        {"channel": maybe([channel] * 5 + ["sms"]), "most": maybe([1, 1, 2]), "days": maybe([1, 7])}
    )

    def build(hours: Any, **values: Any) -> Settings:
        return Settings(quiet_from=hours[0], quiet_until=hours[1], **values)

    return st.builds(
        build,
        hours=quiet,
        time_zone=maybe(ZONES),
        caps=st.lists(cap, min_size=1, max_size=2) | st.just([]),
        from_address=maybe(["Acme <news@acme.example>"] * 5 + ["news@other.example", None]),
        require_opt_in=maybe([False, False, True]),
        marketing_paused=maybe([False] * 7 + [True]),
    )


def config(channel: str, now: datetime) -> st.SearchStrategy[Config]:
    return st.builds(
        Config,
        id=st.uuids(),
        channel=maybe([channel, channel, "sms"]),
        provider_type=maybe(TYPES[channel]),
        priority=st.integers(0, 2),
        is_active=maybe([True] * 5 + [False]),
        paused_until=maybe([None] * 4 + [now, now + timedelta(hours=1)]),
        per_second=maybe([None, 0.5, 2.0]),
        tokens=maybe([0.0, 0.5, 1.0]),
        refilled_at=maybe([None, now, now - timedelta(seconds=1)]),
    )


def suppressions(channel: str, devices: Any, now: datetime) -> Any:
    addresses = {
        "email": ["a@people.example", "to@people.example"],
        "sms": ["+14155552671", "+14155550000"],
        "push": [str(device.id) for own in devices.values() for device in own],
    }[channel]
    one = st.builds(
        Suppression,
        channel=maybe([channel, channel, "sms"]),
        address=maybe(addresses),
        scope=maybe(["all", "marketing"]),
        expires_at=maybe([None, now, now + timedelta(hours=1)]),
    )
    unique = lambda own: (own.channel, own.address, own.scope)  # noqa: E731
    return st.lists(one, max_size=2, unique_by=unique)


def earlier(channel: str, contacts: Any, jobs: Any, now: datetime, number: int) -> Any:
    """A message that was claimed before: it counts for caps and duplicates."""
    return st.builds(
        Message,
        id=st.uuids(),
        channel=maybe([channel, channel, "sms"]),
        message_class=maybe(["marketing", "marketing", "transactional"]),
        contact=maybe(contacts),
        expires_at=st.just(now + timedelta(days=1)),
        created_at=st.just(now - timedelta(days=9)),
        to=st.just(f"{number}@people.example") | st.just("a@people.example")
        if number == 0
        else st.just(f"{number}@people.example"),
        job=maybe([jobs[1]] * 3 + [None]),
        state=maybe(["sent", "sent", "skipped", "uncertain"]),
        claimed_at=maybe([now - timedelta(hours=23)] * 2 + [None, now - timedelta(days=3)]),
        is_further_device=maybe([False, False, True]),
    )


def waiting(
    channel: str, contact_id: Any, jobs: Any, configs: Any, now: datetime, number: int
) -> Any:
    def build(is_addressed: bool, status: Any, **values: Any) -> Message:
        campaign, execution, journey = status
        to = {"email": "to@people.example", "sms": "+14155550000", "push": None}[channel]
        return Message(
            id=uuid4(),
            channel=channel,
            contact=contact_id,
            created_at=now - timedelta(minutes=30 - number),
            to=to if is_addressed else None,
            campaign=campaign,
            execution=execution,
            journey=journey,
            **values,
        )

    states = [(None, None, None)] * 20 + [
        ("sending", None, None), ("paused", None, None), ("canceled", None, None),
        (None, "active", "active"), (None, "canceled", "paused"), (None, "active", "paused"),
        (None, "completed", "archived"),
    ]  # fmt: skip
    return st.builds(
        build,
        is_addressed=maybe([False, False, True]),
        status=maybe(states),
        message_class=maybe(["marketing", "marketing", "transactional"]),
        expires_at=maybe([now + timedelta(hours=1)] * 18 + [now, now - timedelta(hours=1)]),
        sender=maybe([None] * 6 + ["me@acme.example", "me@other.example"]),
        campaign_sender=maybe([None] * 4 + ["x@other.example"]),
        job=maybe([jobs[1], *jobs]) if number == 0 else st.none(),
        possible_duplicate=maybe([False, False, False, True]),
        config=maybe([None, *(own.id for own in configs)]),
    )


def insert(db: Postgres, example: Example) -> None:
    organization = example.organization
    if organization.settings:
        insert_settings(db, organization.settings)
    for uid, own in organization.contacts.items():
        db.execute(
            "insert into crm.contacts (id, organization_id, email, phone, status, custom_fields,"
            " time_zone) values (:id, :org, :email, :phone, :status, :custom, :zone)",
            id=uid, org=ORG, email=own.email, phone=own.phone, status=own.status,
            custom=json.dumps(own.custom_fields), zone=own.time_zone,
        )  # fmt: skip
        for device in organization.devices[uid]:
            db.execute(
                "insert into delivery.device_tokens"
                " (id, organization_id, contact_id, kind, token, p256dh, auth, status)"
                " values (:id, :org, :contact, :kind, :token, 'k', 'a', :state)",
                id=device.id, token=str(device.id), org=ORG, contact=uid, kind=device.kind,
                state="active" if device.is_active else "gone",
            )  # fmt: skip
    for one in organization.suppressions:
        db.execute(
            "insert into delivery.suppressions (organization_id, channel, address, scope, reason,"
            " expires_at) values (:org, :channel, :address, :scope, 'manual', :expires_at)",
            org=ORG, channel=one.channel, address=one.address, scope=one.scope,
            expires_at=one.expires_at,
        )  # fmt: skip
    for domain in organization.verified_domains:
        db.execute(
            "insert into delivery.sending_domains (organization_id, domain, status)"
            " values (:org, :domain, 'verified')",
            org=ORG, domain=domain,
        )  # fmt: skip
    for found in organization.configs:
        db.execute(
            "insert into delivery.provider_configs (id, organization_id, channel, provider_type,"
            " config, priority, is_active, paused_until, per_second, tokens, refilled_at) values"
            " (:id, :org, :channel, :type, '\"\"', :priority, :active, :paused, :per_second,"
            " :tokens, :refilled)",
            id=found.id, org=ORG, channel=found.channel, type=found.provider_type,
            priority=found.priority, active=found.is_active, paused=found.paused_until,
            per_second=found.per_second, tokens=found.tokens, refilled=found.refilled_at,
        )  # fmt: skip
    for message in organization.messages:
        insert_message(db, message, example.now)


def insert_settings(db: Postgres, own: Settings) -> None:
    db.execute(
        "insert into delivery.organization_settings (organization_id, time_zone, quiet_from,"
        " quiet_until, caps, from_address, require_opt_in, marketing_paused_at) values"
        " (:org, :zone, :start, :end, :caps, :sender, :opt_in,"
        " case when cast(:paused as boolean) then now() end)",
        org=ORG, zone=own.time_zone, start=own.quiet_from, end=own.quiet_until,
        caps=json.dumps(list(own.caps)), sender=own.from_address, opt_in=own.require_opt_in,
        paused=own.marketing_paused,
    )  # fmt: skip


def insert_message(db: Postgres, own: Message, now: datetime) -> None:
    campaign, journey, execution = (
        uuid4() if found else None for found in (own.campaign, own.journey, own.execution)
    )
    if campaign:
        db.execute(
            "insert into campaign.campaigns (id, organization_id, name, type, status, settings)"
            " values (:id, :org, 'c', 'email', :status, :settings)",
            id=campaign, org=ORG, status=own.campaign,
            settings=json.dumps({"from": own.campaign_sender} if own.campaign_sender else {}),
        )  # fmt: skip
    else:
        own.campaign_sender = None
    if journey:
        db.execute(
            "insert into journey.journeys (id, organization_id, name, status)"
            " values (:id, :org, 'j', :status)",
            id=journey, org=ORG, status=own.journey,
        )  # fmt: skip
        db.execute(
            "insert into journey.journey_executions (id, organization_id, journey_id, contact_id,"
            " status) values (:id, :org, :journey, :contact, :status)",
            id=execution, org=ORG, journey=journey, contact=own.contact, status=own.execution,
        )  # fmt: skip
    is_ended = own.state in ("sent", "skipped")
    db.execute(
        "insert into delivery.messages (id, organization_id, idempotency_key, channel, class,"
        " contact_id, address, content, campaign_id, journey_execution_id, job_id, state,"
        " expires_at, created_at, claimed_at, finished_at, parent_id, possible_duplicate,"
        " provider_config_id, called_at) values (:id, :org, :key, :channel, :class, :contact, :to,"
        " :content, :campaign, :execution, :job, :state, :expires_at, :created_at, :claimed_at,"
        " :finished_at, :parent, :duplicate, :config, :now)",
        id=own.id, org=ORG, key=str(own.id), channel=own.channel, contact=own.contact, to=own.to,
        content=json.dumps({"from": own.sender} if own.sender else {}), campaign=campaign,
        execution=execution, job=own.job, state=own.state, expires_at=own.expires_at,
        created_at=own.created_at, claimed_at=own.claimed_at,
        finished_at=now if is_ended else None, parent=uuid4() if own.is_further_device else None,
        duplicate=own.possible_duplicate, config=own.config, now=now,
        **{"class": own.message_class},
    )  # fmt: skip


def expected(example: Example) -> dict[UUID, Result]:
    """What plain Python says: message by message, then the rate of each config."""
    organization, now = example.organization, example.now
    rounds = rounds_of(example.claiming)
    results: dict[UUID, Result] = {}
    for messages in rounds:
        for message in messages:
            results[message.id] = organization.claim(message, now)
        for own in organization.configs:
            asking = [m for m in messages if results[m.id].config == own.id]
            asking.sort(key=lambda m: (m.is_marketing, m.created_at))
            granted = within_rate(own, len(asking), now)
            for place, message in enumerate(asking[granted:], 1):
                assert own.per_second is not None
                until = now + timedelta(seconds=place / own.per_second)
                results[message.id] = Result("deferred", "rate", until)
                message.state, message.claimed_at = "deferred", None
    for message in example.claiming:
        if message.possible_duplicate and results[message.id].state == "skipped":
            results[message.id] = Result("uncertain", results[message.id].reason)
    return results


def rounds_of(messages: list[Message]) -> list[list[Message]]:
    """A marketing message waits for the claim of an older one to the same contact."""
    rounds: list[list[Message]] = []
    waiting = sorted(messages, key=lambda own: own.created_at)
    while waiting:
        contacts: set[UUID | None] = set()
        now: list[Message] = []
        later: list[Message] = []
        for own in waiting:
            is_later = own.is_marketing and own.contact in contacts
            (later if is_later else now).append(own)
            if own.is_marketing:
                contacts.add(own.contact)
        rounds.append(now)
        waiting = later
    return rounds


def claimed(db: Postgres, example: Example) -> dict[UUID, Result]:
    """What the SQL says."""
    channel = example.claiming[0].channel
    waiting = [(ORG, own.id) for own in example.claiming]
    configs: dict[UUID, UUID | None] = {}
    while waiting:
        found = claims._claim(
            db, channel, waiting, permitted_types(channel),  # type: ignore[arg-type]
            example.organization.captures, example.now,
        )  # fmt: skip
        configs |= {own.id: own.decision.config_id for own in found.claimed}
        waiting = found.later
    rows = db.rows(
        "select id, state, reason, address,"
        " case when not_before = 'infinity' then 'infinity' end as endless,"
        " case when isfinite(not_before) then not_before end as not_before"
        " from delivery.messages where id = any(:ids)",
        ids=[own.id for own in example.claiming],
    )
    results = {}
    for row in rows:
        is_claimed, is_later = row["state"] == "claimed", row["state"] == "deferred"
        results[row["id"]] = Result(
            row["state"],
            row["reason"],
            (row["endless"] or row["not_before"]) if is_later else None,
            row["address"] if is_claimed else None,
            configs.get(row["id"]),
        )
    return results


@settings(max_examples=2_000 if THOROUGH else 200)
@given(examples())
def test_both_come_to_the_same_result(db: Postgres, example: Example) -> None:
    with undone(db):
        insert(db, example)
        actual = claimed(db, example)
    wanted = expected(example)
    assert {uid: close(own) for uid, own in actual.items()} == {
        uid: close(own) for uid, own in wanted.items()
    }


def close(result: Result) -> Result:
    """Times in whole seconds and UTC: a rate divides into fractions."""
    until = result.until
    if isinstance(until, datetime):
        until = until.astimezone(UTC).replace(microsecond=0)
    return Result(result.state, result.reason, until, result.address, result.config)


def passing() -> Example:
    """An example that passes every check: each case below changes one thing of it."""
    uid, now = uuid4(), NOW
    message = Message(
        uuid4(), "email", "marketing", uid, now + timedelta(hours=1), now - timedelta(hours=1)
    )
    organization = Organization(
        settings=Settings(from_address="news@acme.example"),
        contacts={uid: Contact(email="a@people.example")},
        devices={uid: []},
        suppressions=[],
        verified_domains=frozenset({"acme.example"}),
        configs=[Config(uuid4(), "email", "postmark", per_second=2.0, refilled_at=now)],
        messages=[message],
        permitted={name: frozenset(types) for name, types in permitted_types("email").items()},
        captures=False,
    )
    organization.configs[0].tokens = 1.0
    return Example(organization, [message], now)


def with_contact(example: Example, **changes: Any) -> None:
    [uid] = example.organization.contacts
    own = replace(example.organization.contacts[uid], **changes)
    example.organization.contacts = {uid: own}


def with_settings(example: Example, **changes: Any) -> None:
    assert example.organization.settings
    example.organization.settings = replace(example.organization.settings, **changes)


def with_message(example: Example, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(example.claiming[0], name, value)


def with_earlier(example: Example, **changes: Any) -> None:
    own, job = example.claiming[0], uuid4()
    own.job = job
    earlier = replace(own, id=uuid4(), state="sent", claimed_at=NOW - timedelta(hours=1), **changes)
    example.organization.messages.insert(0, earlier)


def suppress(example: Example) -> None:
    example.organization.suppressions = [Suppression("email", "a@people.example", "marketing")]


def with_cap(example: Example) -> None:
    with_settings(example, caps=[{"channel": "email", "most": 1, "days": 1}])
    with_earlier(example, to="b@people.example")


CASES: dict[str, Callable[[Example], object]] = {
    "expired": lambda e: with_message(e, expires_at=NOW),
    "campaign_canceled": lambda e: with_message(e, campaign="canceled"),
    "execution_canceled": lambda e: with_message(e, journey="paused", execution="canceled"),
    "campaign_paused": lambda e: with_message(e, campaign="paused"),
    "journey_paused": lambda e: with_message(e, journey="paused", execution="active"),
    "organization_paused": lambda e: with_settings(e, marketing_paused=True),
    "unknown_contact": lambda e: setattr(e.organization, "contacts", {}),
    "no_address": lambda e: with_contact(e, email="nobody"),
    "suppressed": suppress,
    "do_not_contact": lambda e: with_contact(e, status="do_not_contact"),
    "bounced": lambda e: with_contact(e, status="bounced"),
    "unsubscribed": lambda e: with_contact(e, status="unsubscribed"),
    "no_consent": lambda e: with_settings(e, require_opt_in=True),
    "duplicate_address": lambda e: with_earlier(e, to="a@people.example", contact=None),
    "capped": with_cap,
    "quiet_hours": lambda e: with_settings(e, quiet_from=time(22), quiet_until=time(12)),
    "unverified_sender": lambda e: with_settings(e, from_address="a@other.example"),
    "no_provider": lambda e: setattr(e.organization.configs[0], "paused_until", NOW + LATER),
    "rate": lambda e: setattr(e.organization.configs[0], "tokens", 0.5),
}


def test_a_message_without_a_fault_is_claimed(db: Postgres) -> None:
    assert outcomes(db, passing()) == (("claimed", None),) * 2


@pytest.mark.parametrize("reason", CASES)
def test_one_fault_decides(reason: str, db: Postgres) -> None:
    example = passing()
    CASES[reason](example)
    state, found = outcomes(db, example)[0]
    assert outcomes(db, example) == ((state, reason),) * 2
    assert found == reason


@pytest.mark.parametrize("name", ["transactional", "to an address"])
def test_what_concerns_marketing_alone_lets_others_pass(name: str, db: Postgres) -> None:
    example = passing()
    for change in ("unsubscribed", "organization_paused", "no_consent", "quiet_hours"):
        CASES[change](example)
    with_message(example, message_class="transactional")
    if name == "to an address":
        with_message(example, contact=None, to="X@people.example")
    assert outcomes(db, example) == (("claimed", None),) * 2


def outcomes(db: Postgres, example: Example) -> tuple[tuple[str, str | None], ...]:
    """State and reason by the SQL, and by plain Python."""
    [message] = example.claiming
    with undone(db):
        insert(db, example)
        actual = claimed(db, example)
    wanted = expected(deepcopy(example))
    results = (actual[message.id], wanted[message.id])
    return tuple((result.state, result.reason) for result in results)
