"""The effects of events: in any order, once, within an organization, in few statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.domain.verdict import Verdict
from delivery.feedback.applying import EVENTS_MAX, apply
from delivery.jobs import provider_events
from delivery.providers.adapter import ProviderEvent
from delivery.store import feedback
from delivery.store.feedback import Reported
from mauntic.database.embedded.server import Server
from shared.outcome import Done
from tests.scratch import scratch_database
from tests.thorough import examples
from tests.workers.delivery.feedback.hooks import (
    POSTMARK,
    activities,
    answers,
    deliver,
    letters,
    postmark,
    suppressions,
    unsubscription,
    webhook,
)
from tests.workers.delivery.feedback.oracle import COLUMNS, Message, Oracle
from tests.workers.delivery.stage import NOW, Stage, org, person
from tests.workers.delivery.wrapped_database import Wrapped

MAIL = "p1@people.example"
RECEIVED = NOW + timedelta(minutes=5)
Sent = tuple[Stage, UUID, UUID]


@pytest.fixture
def sent(stage: Stage) -> Sent:
    """A message that the provider has accepted, and its config."""
    stage.organization()
    stage.contact()
    config = stage.config(secrets=POSTMARK)
    message = stage.message()
    stage.send(message)
    stage.later(minutes=5)
    return stage, config, message


def report(sent: Sent, kind: str, **fields: Any) -> None:
    stage, config, message = sent
    body = webhook(config, postmark(kind, message, **fields), stage.outside.now)
    assert answers(deliver(stage, body)) == ["ack"]
    assert letters(stage) == []


def at(stage: Stage, seconds: int) -> str:
    return (stage.outside.now - timedelta(seconds=seconds)).isoformat()


def status(stage: Stage) -> str:
    [row] = stage.db.rows("select status from crm.contacts")
    return str(row["status"])


def outcome(stage: Stage, message: UUID) -> str:
    [row] = stage.db.rows("select outcome from delivery.message_status where id = :id", id=message)
    return str(row["outcome"])


def test_a_bounce_and_a_complaint_outrank_a_delivery(sent: Sent) -> None:
    stage, _, message = sent
    report(sent, "Bounce", Type="HardBounce", ID=7, BouncedAt=at(stage, 60))
    report(sent, "Delivery", DeliveredAt=at(stage, 60))
    assert outcome(stage, message) == "bounced"
    report(sent, "SpamComplaint", ID=8, BouncedAt=at(stage, 30))
    assert outcome(stage, message) == "complained"
    assert stage.state(message) == ("sent", None)


def test_the_earliest_time_stays_whatever_comes_later(sent: Sent) -> None:
    stage, _, message = sent
    first = stage.outside.now - timedelta(seconds=90)
    for number, seconds in enumerate((60, 90, 30)):
        moment = at(stage, seconds)
        report(sent, "Delivery", ID=number, DeliveredAt=moment)
        report(sent, "Open", ID=number, ReceivedAt=moment)
    row = stage.row(message)
    assert (row["delivered_at"], row["opened_at"]) == (first, first)
    [activity] = stage.db.rows(
        "select occurred_at from analytics.contact_activity where event_type = 'email_delivered'"
    )
    assert activity["occurred_at"] == first


def test_an_activity_names_the_source_of_its_message(sent: Sent) -> None:
    stage, _, message = sent
    campaign, journey, execution, step = (uuid4() for _ in range(4))
    stage.db.execute("update delivery.messages set campaign_id = :campaign", campaign=campaign)
    report(sent, "Click", ReceivedAt=at(stage, 1), OriginalLink="https://acme.example/")
    stage.db.execute(
        "update delivery.messages set campaign_id = null, journey_id = :journey,"
        " journey_execution_id = :execution, step_id = :step",
        journey=journey, execution=execution, step=step,
    )  # fmt: skip
    report(sent, "Bounce", Type="SoftBounce", ID=7, BouncedAt=at(stage, 60))
    rows = stage.db.rows(
        "select event_source, event_data from analytics.contact_activity"
        " where event_type in ('email_clicked', 'email_bounced') order by event_type desc"
    )
    assert [(row["event_source"], row["event_data"]) for row in rows] == [
        (
            str(campaign),
            {
                "messageId": str(message), "campaignId": str(campaign),
                "url": "https://acme.example/",
            },
        ),
        (
            f"journey:{journey}",
            {
                "messageId": str(message), "journeyId": str(journey), "bounceKind": "soft",
                "journeyExecutionId": str(execution), "stepId": str(step),
            },
        ),
    ]  # fmt: skip


def test_a_bounce_of_an_old_address_leaves_the_contact_active(sent: Sent) -> None:
    stage, _, _ = sent
    stage.db.execute("update crm.contacts set email = 'new@people.example'")
    report(sent, "Bounce", Type="HardBounce", ID=7, BouncedAt=at(stage, 60))
    assert status(stage) == "active"
    assert suppressions(stage) == [("email", MAIL, "bounce", "all")]


def test_a_status_that_the_platform_has_set_stays(sent: Sent) -> None:
    stage, _, _ = sent
    stage.db.execute("update crm.contacts set status = 'do_not_contact'")
    report(sent, "Bounce", Type="HardBounce", ID=7, BouncedAt=at(stage, 60))
    assert status(stage) == "do_not_contact"


def test_a_person_lifts_a_suppression_and_the_same_event_does_not_set_it_again(sent: Sent) -> None:
    stage, _, _ = sent
    for _ in range(2):
        report(sent, "Bounce", Type="HardBounce", ID=7, BouncedAt=at(stage, 60))
        stage.db.rows(
            "select delivery.unsuppress(:org, :mail, 'email', 'a note')", org=org(), mail=MAIL
        )
    assert suppressions(stage) == []


def test_a_lasting_suppression_replaces_one_that_ends(sent: Sent) -> None:
    stage, _, _ = sent
    stage.db.rows(
        "select delivery.suppress(:org, :mail, reason => 'invalid', expires_at => now())",
        org=org(), mail=MAIL,
    )  # fmt: skip
    report(sent, "SpamComplaint", ID=8, BouncedAt=at(stage, 30))
    [row] = stage.db.rows("select reason, expires_at from delivery.suppressions")
    assert (row["reason"], row["expires_at"]) == ("complaint", None)


def test_a_message_without_a_contact_has_no_activity(stage: Stage) -> None:
    stage.organization()
    config = stage.config(secrets=POSTMARK)
    columns: dict[str, Any] = {"class": "transactional", "address": "x@people.example"}
    message = stage.message(None, **columns)
    stage.send(message)
    stage.later(minutes=5)
    report((stage, config, message), "Bounce", Type="HardBounce", ID=7)
    assert activities(stage) == []
    assert suppressions(stage) == [("email", "x@people.example", "bounce", "all")]
    assert stage.row(message)["bounce_kind"] == "hard"


def test_an_event_of_another_organizations_message_never_matches(sent: Sent) -> None:
    stage, _, message = sent
    stage.organization(2)
    theirs = stage.config(2, secrets=POSTMARK)
    [row] = stage.db.rows("select provider_message_id from delivery.messages")
    body = postmark("Bounce", message, Type="HardBounce", ID=7)
    body["MessageID"] = row["provider_message_id"]
    deliver(stage, webhook(theirs, body, stage.outside.now))
    assert stage.row(message)["bounced_at"] is None
    assert suppressions(stage) == []
    [waiting] = stage.db.rows("select provider_config_id from delivery.unmatched_events")
    assert waiting["provider_config_id"] == theirs


def test_an_erased_contact_is_not_written_again(sent: Sent) -> None:
    stage, _, message = sent
    stage.db.execute("delete from analytics.contact_activity")
    stage.db.execute("delete from crm.contacts")
    stage.db.rows("select ops.erase_contact(:org, :contact, :mail)",
                  org=org(), contact=person(1), mail=MAIL)  # fmt: skip
    report(sent, "Bounce", Type="HardBounce", ID=7, BouncedAt=at(stage, 60))
    link = unsubscription(message, person(1), stage.outside.now)
    assert answers(deliver(stage, link)) == ["ack"]
    assert letters(stage) == []
    assert stage.row(message)["bounce_kind"] == "hard"
    assert activities(stage) == []
    assert suppressions(stage) == []
    rows = stage.db.rows("select contact_id from delivery.delivery_events")
    assert {row["contact_id"] for row in rows} == {None}


@pytest.mark.parametrize("is_deleted", [False, True])
def test_an_unsubscription_by_our_link(is_deleted: bool, sent: Sent) -> None:
    """It outlives the message and its address, and counts once."""
    stage, _, message = sent
    stage.db.execute("update crm.contacts set email = 'new@people.example'")
    stage.db.execute("update delivery.messages set address = null")
    if is_deleted:
        stage.db.execute("delete from delivery.messages")
    body = unsubscription(message, person(1), stage.outside.now)
    later = unsubscription(message, person(1), stage.outside.now + timedelta(hours=1))
    assert answers(deliver(stage, body, body, later)) == ["ack"] * 3
    assert activities(stage) == [("email_unsubscribed", f"msg:{message}:unsubscribed")]
    wanted = [("email", "new@people.example", "unsubscribe", "marketing")]
    assert suppressions(stage) == wanted
    assert status(stage) == "unsubscribed"
    [event] = stage.db.rows("select * from delivery.delivery_events where event_type <> 'sent'")
    assert (event["organization_id"], event["contact_id"]) == (org(), person(1))


def test_an_unsubscription_stops_the_address_of_the_message(sent: Sent) -> None:
    stage, _, message = sent
    stage.db.execute("update crm.contacts set email = 'new@people.example'")
    deliver(stage, unsubscription(message, person(1), stage.outside.now))
    assert suppressions(stage) == [("email", MAIL, "unsubscribe", "marketing")]
    assert stage.row(message)["unsubscribed_at"] == stage.outside.now


@pytest.mark.parametrize("is_deleted", [False, True])
def test_who_unsubscribes_again_after_the_suppression_was_lifted_is_stopped_again(
    is_deleted: bool, sent: Sent
) -> None:
    """The page promises it at each click. The same request, delivered again, changes nothing."""
    stage, _, message = sent
    if is_deleted:
        stage.db.execute("delete from delivery.messages")
    body = unsubscription(message, person(1), stage.outside.now)
    deliver(stage, body)
    known = activities(stage), stage.db.rows("select occurred_at from analytics.contact_activity")
    for again in (body, unsubscription(message, person(1), stage.outside.now + timedelta(days=5))):
        stage.db.rows(
            "select delivery.unsuppress(:org, :mail, 'email', 'they asked')", org=org(), mail=MAIL
        )
        stage.db.execute("update crm.contacts set status = 'active'")
        stage.later(days=6)
        deliver(stage, body, again)
        wanted = [] if again is body else [("email", MAIL, "unsubscribe", "marketing")]
        assert suppressions(stage) == wanted
        assert status(stage) == ("unsubscribed" if wanted else "active")
    rows = stage.db.rows("select occurred_at from analytics.contact_activity")
    assert (activities(stage), rows) == known
    assert stage.db.rows("select from delivery.platform_outbox where kind = 'unsubscribed'") == [{}]


def test_a_token_of_another_organization_reaches_no_contact(sent: Sent) -> None:
    stage, _, message = sent
    deliver(stage, unsubscription(message, person(1), stage.outside.now, organization=2))
    assert (suppressions(stage), activities(stage), status(stage)) == ([], [], "active")


# -- events and the send path


@pytest.mark.parametrize("verdict", ["accepted", "unknown", "refused", None])
def test_an_event_before_the_verdict_makes_the_message_sent(
    verdict: str | None, stage: Stage
) -> None:
    stage.organization()
    stage.contact()
    config = stage.config(secrets=POSTMARK)
    message = stage.message()
    begun = stage.begin(stage.claim(message), config)
    stage.later(seconds=1)
    report((stage, config, message), "Delivery", DeliveredAt=at(stage, 0))
    assert stage.state(message) == ("sent", None)
    if verdict:
        stage.settle(begun, Verdict(verdict))  # type: ignore[arg-type]
    stage.later(hours=3)
    stage.sweep()
    row = stage.row(message)
    assert (row["state"], row["sent_at"]) == ("sent", begun.started_at)
    [event] = stage.db.rows(
        "select occurred_at from analytics.contact_activity where event_type = 'email_sent'"
    )
    assert event["occurred_at"] == begun.started_at
    assert stage.feed() == []


def test_a_verdict_after_its_event_keeps_the_id_of_the_provider(stage: Stage) -> None:
    """Later events may name the message by that id alone."""
    stage.organization()
    stage.contact()
    config = stage.config(secrets=POSTMARK)
    message = stage.message()
    begun = stage.begin(stage.claim(message), config)
    report((stage, config, message), "Delivery")
    stage.settle(begun, Verdict("accepted", provider_message_id="pm-1"))
    assert stage.row(message)["provider_message_id"] == "pm-1"
    stage.settle(begun, Verdict("accepted", provider_message_id="pm-2"))
    assert stage.row(message)["provider_message_id"] == "pm-1"


def test_an_event_of_a_message_that_was_never_called_waits(stage: Stage) -> None:
    stage.organization()
    stage.contact()
    config = stage.config(secrets=POSTMARK)
    message = stage.message()
    report((stage, config, message), "Delivery")
    assert stage.state(message) == ("pending", None)
    assert len(stage.db.rows("select * from delivery.unmatched_events")) == 1


def test_two_consumers_with_the_same_events_apply_them_once(sent: Sent) -> None:
    """The second waits for the first, and finds them recorded."""
    stage, config, message = sent
    bounced = ProviderEvent(
        "pm:1", "bounced", RECEIVED, str(message), is_hard=True, suppression="bounce"
    )
    records = [feedback.record_of(Reported(bounced, org(), config, "email", RECEIVED))]
    with (
        closing(stage.outside.ports().db) as first,
        closing(stage.outside.ports().db) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        with first.transaction():
            assert feedback._apply(first, records, RECEIVED).new == {0}
            other = pool.submit(feedback.apply, second, records, RECEIVED)
        assert other.result().new == set()
    assert len(activities(stage)) == 1


# -- any order, any number of times, in any batches

KINDS = [
    "accepted", "delivered", "opened", "clicked", "bounced", "bounced", "complained",
    "unsubscribed", "failed",
]  # fmt: skip
IDS = [UUID(int=77_000 + number) for number in range(5)]
FOREIGN = IDS[4]


@st.composite
def events(draw: st.DrawFn) -> ProviderEvent:
    kind = draw(st.sampled_from(KINDS))
    is_hard = kind == "bounced" and draw(st.booleans())
    reasons = {"complained": "complaint", "unsubscribed": "unsubscribe"}
    return ProviderEvent(
        event_id=f"e:{draw(st.integers(0, 10**9))}",
        kind=kind,  # type: ignore[arg-type]
        occurred_at=NOW + timedelta(seconds=draw(st.sampled_from([-9, 0, 1, 2, 60, 299, 999]))),
        message_id=str(draw(st.sampled_from(IDS))),
        is_hard=is_hard,
        suppression="bounce" if is_hard else reasons.get(kind),  # type: ignore[arg-type]
        is_machine=kind == "opened" and draw(st.booleans()),
        url="https://acme.example/" if kind == "clicked" else None,
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[ProviderEvent], list[list[ProviderEvent]]]:
    """Some events; and batches of them, with each event at least once, in any order."""
    own = draw(st.lists(events(), min_size=5, max_size=14, unique_by=lambda event: event.event_id))
    again = draw(st.lists(st.sampled_from(own), max_size=8))
    listed = draw(st.permutations(own + again))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(listed) - 1)), max_size=4)))
    edges = [0, *cuts, len(listed)]
    return own, [listed[a:b] for a, b in pairwise(edges) if b > a]


@pytest.fixture(scope="module")
def world(postgres: Server, migrated: str) -> Iterator[Stage]:
    """Two organizations; each example makes the rest."""
    with scratch_database(postgres, migrated) as url, closing(Stage(url)) as stage:
        for number in (1, 2):
            stage.organization(number)
        yield stage


def prepared(stage: Stage) -> tuple[UUID, Oracle]:
    """Four messages of an organization (two of one contact, one without), and one of another."""
    for table in (
        "delivery.messages", "delivery.delivery_events", "delivery.suppressions",
        "delivery.unmatched_events", "analytics.contact_activity", "crm.contacts",
        "delivery.provider_configs",
    ):  # fmt: skip
        stage.db.execute(f"delete from {table}")
    config = stage.config(secrets=POSTMARK)
    for number in (1, 2):
        stage.contact(number)
    stage.contact(3, organization=2)
    plan: list[tuple[int | None, str, str]] = [
        (1, "p1@people.example", "sent"), (1, "old@people.example", "uncertain"),
        (2, "p2@people.example", "failed"), (None, "x@people.example", "skipped"),
        (3, "p3@people.example", "sent"),
    ]  # fmt: skip
    known: dict[str, Message] = {}
    for own, (contact, address, state) in zip(IDS, plan, strict=True):
        stage.message(
            contact, 2 if own == FOREIGN else 1, id=own, state=state, address=address,
            attempts=1, called_at=NOW, sent_at=NOW if state == "sent" else None,
            finished_at=None if state == "uncertain" else NOW,
        )  # fmt: skip
        if own != FOREIGN:
            theirs = None if contact is None else person(contact)
            known[str(own)] = Message(own, theirs, address, NOW, state)
    contacts = {person(number): f"p{number}@people.example" for number in (1, 2)}
    return config, Oracle(known, contacts, RECEIVED)


def assert_same(stage: Stage, oracle: Oracle) -> None:
    for message in oracle.messages.values():
        row = stage.row(message.id)
        wanted = dict.fromkeys([*COLUMNS.values(), "bounce_kind"]) | message.columns
        assert {name: row[name] for name in wanted} == wanted
        assert row["state"] == message.state
    rows = stage.db.rows(
        "select event_id, event_type, contact_id, occurred_at, event_data ->> 'bounceKind' as kind"
        " from analytics.contact_activity where event_type <> 'email_sent'"
    )
    assert {
        row["event_id"]: (row["event_type"], row["contact_id"], row["occurred_at"], row["kind"])
        for row in rows
    } == oracle.activities
    stopped = {(row[1], row[3]): row[2] for row in suppressions(stage)}
    assert stopped == oracle.suppressions
    rows = stage.db.rows("select id, status from crm.contacts where status <> 'active'")
    assert {row["id"]: row["status"] for row in rows} == oracle.status
    rows = stage.db.rows("select event_id from delivery.unmatched_events")
    assert {row["event_id"] for row in rows} == oracle.unmatched
    rows = stage.db.rows("select event_id from delivery.delivery_events where event_type <> 'sent'")
    assert sorted(row["event_id"] for row in rows) == sorted(oracle.seen)


@given(history=histories())
@settings(max_examples=examples(150))
def test_any_order_any_repetition_and_any_batches_end_in_the_same_rows(
    world: Stage, history: tuple[list[ProviderEvent], list[list[ProviderEvent]]]
) -> None:
    config, oracle = prepared(world)
    with closing(world.outside.ports().db) as db:
        for batch in history[1]:
            records = [
                feedback.record_of(Reported(event, org(), config, "email", RECEIVED))
                for event in batch
            ]
            feedback.apply(db, records, RECEIVED)
            oracle.apply(batch)
    assert_same(world, oracle)


# -- few statements


def reported(stage: Stage, config: UUID, ids: Sequence[UUID], received: datetime) -> list[Reported]:
    return [
        Reported(
            ProviderEvent(
                f"e:{n}", "bounced", received, str(ids[n % len(ids)]), is_hard=True,
                suppression="bounce",
            ),
            org(), config, "email", received,
        )
        for n in range(60)
    ]  # fmt: skip


def test_a_batch_has_a_fixed_number_of_statements(stage: Stage) -> None:
    stage.organization()
    config = stage.config(secrets=POSTMARK)
    messages = []
    for number in range(1, 13):
        stage.contact(number)
        messages.append(stage.message(number))
    stage.begin(stage.claim(*messages), config)
    wrapped: list[Wrapped] = []

    def wrap(db: Any) -> Any:
        wrapped.append(Wrapped(db))
        return wrapped[-1]

    stage.around = wrap
    ports = stage.ports()
    all_events = reported(stage, config, messages, stage.outside.now)
    outcomes = apply([all_events[:1], all_events[1:31], all_events[31:]], ports)
    ports.db.close()
    assert outcomes == [Done(n, n, str(org())) for n in (1, 30, 29)]
    names = ["record_events", "record_evidence", "apply_events", "commit"]
    assert wrapped[0].names == names
    assert len(all_events) < EVENTS_MAX


def test_a_batch_of_many_events_is_applied_in_portions(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The events of fifty webhooks of 1 MB are more than an isolate has memory for."""
    stage, config, message = sent
    monkeypatch.setattr(provider_events, "PORTION_EVENTS", 2)
    wrapped: list[Wrapped] = []

    def wrap(db: Any) -> Any:
        wrapped.append(Wrapped(db))
        return wrapped[-1]

    stage.around = wrap
    now = stage.outside.now
    opens = [webhook(config, postmark("Open", message, MessageID=f"pm-{n}"), now) for n in range(5)]
    opens[1]["data"]["headers"] = {}
    answered = answers(deliver(stage, *opens))
    assert answered == ["ack"] * 5
    assert [reason for reason, _ in letters(stage)] == ["bad_signature"]
    assert wrapped[0].names.count("record_events") == 2
    assert len(activities(stage)) == 4


def test_a_chunk_that_is_refused_is_tried_message_by_message(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, config, message = sent

    def event(number: int, received: datetime) -> Reported:
        own = ProviderEvent(f"e:{number}", "opened", received, str(message))
        return Reported(own, org(), config, "email", received)

    good, bad = event(1, stage.outside.now), event(2, stage.outside.now)
    made = feedback.record_of

    def broken(own: Reported) -> dict[str, Any]:
        return made(own) | ({"occurred_at": "no time"} if own is bad else {})

    monkeypatch.setattr(feedback, "record_of", broken)
    ports = stage.ports()
    outcomes = apply([[good], [bad]], ports)
    ports.db.close()
    assert outcomes[0] == Done(1, 1, str(org()))
    assert getattr(outcomes[1], "reason", None) == "failed"
