"""Who may claim a message, what a claim costs, and two consumers at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from time import sleep
from uuid import UUID, uuid4

import pytest

from delivery.domain.claims import Claims
from delivery.domain.outgoing import Channel
from delivery.domain.verdict import Verdict
from delivery.sending.lane import permitted_types
from delivery.store import claims, sweeps
from shared.adapters.postgres.client import Postgres
from tests.roles import as_worker
from tests.workers.delivery.stage import NOW, Stage, org, person
from tests.workers.delivery.wrapped_database import Wrapped


@pytest.fixture
def ready(stage: Stage) -> Stage:
    stage.organization()
    for number in range(1, 5):
        stage.contact(number)
    return stage


def uncertain(stage: Stage, config: UUID | None = None) -> UUID:
    """A message that waits for its second call after an unknown one."""
    message = stage.message(1, 1, on_uncertain="retry", **{"class": "transactional"})
    stage.settle(stage.begin(stage.claim(message), config), Verdict("unknown"))
    stage.later(minutes=11)
    stage.sweep()
    assert stage.state(message)[0] == "pending"
    return message


def test_a_claim_has_a_lease_and_a_token(ready: Stage) -> None:
    message = ready.message()
    [own] = ready.claim(message).claimed
    row = ready.row(message)
    assert (row["state"], row["token"], row["lapses"]) == ("claimed", own.token, 0)
    assert (row["claimed_at"], row["lease_until"]) == (NOW, NOW + timedelta(minutes=5))
    assert row["address"] == "p1@people.example"


def test_a_live_claim_is_left_alone_and_an_abandoned_one_taken_over(ready: Stage) -> None:
    message = ready.message()
    [first] = ready.claim(message).claimed
    ready.later(minutes=4, seconds=59)
    assert ready.claim(message).claimed == []
    ready.later(seconds=1)
    [second] = ready.claim(message).claimed
    assert second.token == first.token + 1
    assert ready.row(message)["lapses"] == 1


def test_the_third_lapse_is_left_to_the_sweep(ready: Stage) -> None:
    message = ready.message()
    for _ in range(3):
        assert len(ready.claim(message).claimed) == 1
        ready.later(minutes=6)
    assert ready.claim(message).claimed == []
    assert ready.sweep() == {"sweep_lapsed": 1}
    assert ready.state(message) == ("held", "lapsed")


@pytest.mark.parametrize("state", ["held", "sending", "uncertain", "sent", "later"])
def test_a_reference_claims_nothing_else(state: str, ready: Stage) -> None:
    message = ready.message()
    if state == "held":
        sweeps.hold_dead(ready.worker, [message])
    elif state == "later":
        ready.settle(ready.begin(ready.claim(message)), Verdict("defer"))
    else:
        begun = ready.begin(ready.claim(message))
        kinds = {"uncertain": "unknown", "sent": "accepted"}
        if state in kinds:
            ready.settle(begun, Verdict(kinds[state]))  # type: ignore[arg-type]
    ready.later(seconds=50)
    before = ready.row(message)
    assert ready.claim(message).claimed == []
    assert ready.row(message) == before


def test_a_call_whose_lease_expired_is_not_claimed(ready: Stage) -> None:
    message = ready.message()
    ready.begin(ready.claim(message))
    ready.later(minutes=6)
    assert ready.claim(message).claimed == []
    assert ready.state(message)[0] == "sending"


def test_a_message_of_another_organization_is_not_claimed(ready: Stage) -> None:
    message = ready.message()
    found = claims.claim(
        ready.worker, "email", [(org(2), message)], permitted_types("email"), True, NOW
    )
    assert found.claimed == []
    assert claims.unknown(ready.worker, "email", [(org(2), message)]) == {message: False}
    assert claims.unknown(ready.worker, "sms", [(org(), message)]) == {message: True}


def test_only_the_config_of_an_unknown_call_is_used(ready: Stage) -> None:
    first = ready.config(priority=1)
    message = uncertain(ready, first)
    ready.config(priority=9)
    [own] = ready.claim(message, ready.message(2)).claimed[:1]
    assert own.decision.config_id == first or own.id != message
    [same] = [own for own in [own] if own.id == message] or ready.claim(message).claimed
    assert same.decision.config_id == first


def test_while_that_config_is_paused_the_message_waits(ready: Stage) -> None:
    first = ready.config(priority=1)
    message = uncertain(ready, first)
    ready.config(priority=9)
    ready.db.execute(
        "update delivery.provider_configs set paused_until = 'infinity' where id = :id", id=first
    )
    assert ready.claim(message).claimed == []
    assert ready.state(message) == ("deferred", "no_provider")


def test_a_check_does_not_hide_an_unknown_call(ready: Stage) -> None:
    message = uncertain(ready)
    ready.db.rows("select delivery.suppress(:org, 'p1@people.example')", org=org())
    assert ready.claim(message).claimed == []
    row = ready.row(message)
    assert (row["state"], row["reason"], row["finished_at"]) == ("uncertain", "suppressed", None)
    ready.later(hours=49)
    ready.sweep()
    assert ready.row(message)["finished_at"] is not None


def test_of_two_contacts_with_one_address_one_gets_the_message(ready: Stage) -> None:
    ready.db.execute("update crm.contacts set email = 'same@people.example'")
    job = uuid4()
    messages = [ready.message(number, job_id=job) for number in (1, 2, 3)]
    found = ready.claim(*messages)
    assert len(found.claimed) == 1
    reasons = sorted(ready.state(own)[1] or "" for own in messages)
    assert reasons == ["", "duplicate_address", "duplicate_address"]


def test_an_address_that_another_contact_has_got_ends_no_doubt(ready: Stage) -> None:
    """The contact's address changed after an unknown call."""
    job = uuid4()
    message = ready.message(1, 1, on_uncertain="retry", job_id=job, **{"class": "transactional"})
    ready.settle(ready.begin(ready.claim(message)), Verdict("unknown"))
    other = ready.message(2, job_id=job)
    ready.settle(ready.begin(ready.claim(other)), Verdict("accepted"))
    ready.db.execute("update delivery.messages set address = null where id = :id", id=message)
    ready.db.execute("update crm.contacts set email = 'p2@people.example'")
    ready.later(minutes=11)
    ready.sweep()
    assert ready.claim(message).claimed == []
    assert ready.state(message) == ("uncertain", "duplicate_address")


def test_of_two_messages_to_a_contact_the_older_counts(ready: Stage) -> None:
    caps = json.dumps([{"channel": "email", "most": 1, "days": 7}])
    ready.db.execute("update delivery.organization_settings set caps = cast(:c as jsonb)", c=caps)
    first = ready.message(1, created_at=NOW - timedelta(minutes=2))
    second = ready.message(1, created_at=NOW - timedelta(minutes=1))
    ready.send(second, first)
    assert ready.state(first)[0] == "sent"
    assert ready.state(second) == ("skipped", "capped")


def test_a_push_message_goes_to_every_device(ready: Stage) -> None:
    devices = sorted(uuid4() for _ in range(3))
    for device in devices:
        ready.db.execute(
            "insert into delivery.device_tokens (id, organization_id, contact_id, kind, token)"
            " values (:id, :org, :contact, 'fcm', :token)",
            id=device, org=org(), contact=person(1), token=str(device),
        )  # fmt: skip
    message = ready.message(1, channel="push")
    for _ in range(2):
        ready.later(minutes=6)
        ready.claim(message, channel="push")
    rows = ready.db.rows("select * from delivery.messages order by device_id")
    assert [row["device_id"] for row in rows] == devices
    assert [row["parent_id"] for row in rows] == [None, message, message]
    assert [row["state"] for row in rows] == ["claimed", "pending", "pending"]
    assert ready.row(message)["address"] == str(devices[0])
    further = [row["id"] for row in rows[1:]]
    assert [len(ready.claim(own, channel="push").claimed) for own in further] == [1, 1]
    assert len(ready.db.rows("select 1 from delivery.messages")) == 3


def test_a_claim_of_a_hundred_is_six_statements(ready: Stage) -> None:
    ready.config(per_second=1000)
    for number in range(5, 105):
        ready.contact(number)
    messages = [ready.message(number) for number in range(5, 105)]
    counted = Wrapped(ready.worker)
    found = claims.claim(
        counted, "email", [(org(), own) for own in messages], permitted_types("email"), True, NOW
    )
    assert len(found.claimed) == 100
    assert counted.names == [
        "lock_recipients", "lock_messages", "decide", "take_tokens", "write_claims", "commit",
    ]  # fmt: skip


def claim_at_once(stage: Stage, batches: list[list[UUID]]) -> list[Claims]:
    """Each batch in its own thread and connection."""

    def work(batch: list[UUID]) -> Claims:
        with closing(Postgres(lambda: as_worker(stage.url))) as db:
            references = [(org(), own) for own in batch]
            return claims.claim(db, "email", references, permitted_types("email"), True, NOW)

    with ThreadPoolExecutor(len(batches)) as pool:
        return list(pool.map(work, batches))


def test_two_consumers_claim_a_message_once(ready: Stage) -> None:
    for number in range(5, 65):
        ready.contact(number)
    messages = [ready.message(number) for number in range(5, 65)]
    found = claim_at_once(ready, [messages, messages[::-1], messages[30:] + messages[:30]])
    claimed = [own.id for one in found for own in one.claimed]
    assert len(claimed) == len(set(claimed)) <= 60
    assert {ready.row(own)["token"] for own in messages} <= {0, 1}
    ready.claim(*messages)
    assert {ready.row(own)["state"] for own in messages} == {"claimed"}


def test_a_cap_is_exact_for_consumers_at_once(ready: Stage) -> None:
    caps = json.dumps([{"channel": "email", "most": 2, "days": 7}])
    ready.db.execute("update delivery.organization_settings set caps = cast(:c as jsonb)", c=caps)
    batches = [[ready.message(contact) for contact in (1, 2, 3)] for _ in range(5)]
    found = claim_at_once(ready, batches)
    claimed = [own.waiting.contact_id for one in found for own in one.claimed]
    assert sorted(str(own) for own in claimed) == sorted(str(person(n)) for n in (1, 1, 2, 2, 3, 3))


def test_tokens_are_shared_by_consumers_at_once(ready: Stage) -> None:
    ready.config(per_second=7)
    for number in range(5, 25):
        ready.contact(number)
    messages = [ready.message(number) for number in range(5, 25)]
    found = claim_at_once(ready, [messages[:10], messages[10:]])
    assert sum(len(one.claimed) for one in found) == 7
    reasons = [ready.state(own) for own in messages]
    assert reasons.count(("deferred", "rate")) == 13


def test_an_address_that_another_consumer_has_just_claimed_is_a_duplicate(ready: Stage) -> None:
    """The other claim commits between the check and the write."""
    job = uuid4()
    first, second = ready.message(1, job_id=job), ready.message(2, job_id=job)
    ready.db.execute("update crm.contacts set email = 'same@people.example'")
    with ThreadPoolExecutor(1) as pool:
        with ready.db.transaction():
            ready.db.execute(
                "update delivery.messages set state = 'claimed', lease_until = :until,"
                " address = 'same@people.example' where id = :id",
                until=NOW + timedelta(minutes=5),
                id=first,
            )
            claiming = pool.submit(ready.claim, second)
            sleep(0.5)
        assert claiming.result().claimed == []
    assert ready.state(second) == ("skipped", "duplicate_address")


@pytest.mark.parametrize(
    ("channel", "contact", "suppressed"),
    [
        ("email", "P1@People.example", "P1@people.EXAMPLE "),
        ("email", "zoe@Straße.example", "Zoe@straße.example"),
        ("email", "zoe@straße.example", "zoe@xn--strae-oqa.example"),
        ("email", "zoe@xn--strae-oqa.example", "zoe@straße.example"),
        ("email", "jose\u0301@people.example", "jos\u00e9@people.example"),
        ("email", "jos\u00e9@people.example", "jose\u0301@people.example"),
        ("sms", "+1 (415) 555-2671", "+1 (415) 555-2671"),
        ("sms", "+14155552671", "+1 415.555.2671"),
    ],
)
@pytest.mark.parametrize("how", ["suppress", "insert", "email"])
def test_a_suppression_counts_in_any_spelling(
    channel: Channel, contact: str, suppressed: str, how: str, ready: Stage
) -> None:
    if how == "email" and channel == "sms":
        pytest.skip("the column is of e-mail")
    ready.db.execute("update crm.contacts set email = :address, phone = :address", address=contact)
    statements = {
        "suppress": "select delivery.suppress(:org, :address, :channel)",
        "insert": "insert into delivery.suppressions (organization_id, channel, address, reason)"
        " values (:org, :channel, :address, 'manual') returning id",
        "email": "insert into delivery.suppressions (organization_id, channel, email, reason)"
        " values (:org, :channel, :address, 'manual') returning id",
    }
    ready.db.rows(statements[how], org=org(), address=suppressed, channel=channel)
    consent = json.dumps({"_consent_preferences": {"sms": True}})
    ready.db.execute("update crm.contacts set custom_fields = cast(:c as jsonb)", c=consent)
    message = ready.message(1, channel=channel)
    assert ready.claim(message, channel=channel).claimed == []
    assert ready.state(message) == ("skipped", "suppressed")


@pytest.mark.parametrize("reason", ["check", "place", "release"])
def test_a_message_that_waited_goes_to_the_contacts_new_address(reason: str, ready: Stage) -> None:
    message = ready.message()
    if reason == "check":
        ready.domain(status="pending")
    found = ready.claim(message)
    if reason == "place":
        until = [NOW + timedelta(minutes=5)]
        claims.set_places(ready.worker, found.claimed, until, "warmup", NOW)
    elif reason == "release":
        claims.release(ready.worker, found.claimed)
    ready.db.execute("update crm.contacts set email = 'new@people.example'")
    ready.domain()
    ready.later(minutes=16)
    [own] = ready.claim(message).claimed
    assert own.decision.address == ready.row(message)["address"] == "new@people.example"


def test_a_push_message_to_a_device_goes_to_no_other(ready: Stage) -> None:
    devices = sorted(uuid4() for _ in range(3))
    for device in devices:
        ready.db.execute(
            "insert into delivery.device_tokens (id, organization_id, contact_id, kind, token)"
            " values (:id, :org, :contact, 'fcm', :token)",
            id=device, org=org(), contact=person(1), token=str(device),
        )  # fmt: skip
    message = ready.message(1, channel="push", device_id=devices[1])
    for _ in range(2):
        [own] = ready.claim(message, channel="push").claimed
        assert own.decision.device_id == devices[1]
        ready.later(minutes=6)
    assert len(ready.db.rows("select 1 from delivery.messages")) == 1
