"""What the sweep changes, and what it leaves."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from delivery.domain.verdict import Verdict
from delivery.store import feedback, sweeps
from tests.workers.delivery.stage import NOW, Stage, org, person


@pytest.fixture
def ready(stage: Stage) -> Stage:
    stage.organization()
    stage.contact(1)
    return stage


def campaign(stage: Stage, status: str) -> UUID:
    found = uuid4()
    stage.db.execute(
        "insert into campaign.campaigns (id, organization_id, name, type, status)"
        " values (:id, :org, 'c', 'email', :status)",
        id=found, org=org(), status=status,
    )  # fmt: skip
    return found


def execution(stage: Stage, status: str, journey: str = "active") -> UUID:
    found, journey_id = uuid4(), uuid4()
    stage.db.execute(
        "insert into journey.journeys (id, organization_id, name, status)"
        " values (:id, :org, 'j', :status)",
        id=journey_id, org=org(), status=journey,
    )  # fmt: skip
    stage.db.execute(
        "insert into journey.journey_executions (id, organization_id, journey_id, contact_id,"
        " status) values (:id, :org, :journey, :contact, :status)",
        id=found, org=org(), journey=journey_id, contact=person(1), status=status,
    )  # fmt: skip
    return found


def set_status(stage: Stage, table: str, status: str) -> None:
    stage.db.execute(f"update {table} set status = '{status}'")


def test_a_lost_reference_is_sent_again(ready: Stage) -> None:
    message = ready.message()
    assert len(ready.feed()) == 1
    ready.later(minutes=14)
    assert ready.sweep() == {}
    ready.later(minutes=2)
    assert ready.sweep() == {"sweep_queued": 1}
    [reference] = ready.feed()
    assert reference["data"]["messageId"] == str(message)


def test_an_abandoned_claim_is_opened_again(ready: Stage) -> None:
    message = ready.message()
    ready.claim(message)
    ready.later(minutes=6)
    assert ready.sweep() == {"sweep_lapsed": 1}
    row = ready.row(message)
    assert (row["state"], row["lapses"], row["claimed_at"]) == ("pending", 1, None)


def test_an_abandoned_call_is_uncertain_and_marketing_stays_so(ready: Stage) -> None:
    message = ready.message()
    ready.begin(ready.claim(message))
    ready.later(minutes=3)
    assert ready.sweep() == {"sweep_sending": 1}
    ready.later(hours=47)
    assert ready.sweep() == {}
    ready.later(hours=1)
    assert ready.sweep() == {"sweep_uncertain": 1}
    row = ready.row(message)
    assert (row["state"], row["possible_duplicate"]) == ("uncertain", False)
    assert row["finished_at"] == ready.outside.now
    ready.later(hours=1)
    assert ready.sweep() == {}


def test_a_transactional_message_gets_one_more_call(ready: Stage) -> None:
    message = ready.message(1, 1, on_uncertain="retry", **{"class": "transactional"})
    ready.settle(ready.begin(ready.claim(message)), Verdict("unknown"))
    ready.later(minutes=9)
    assert ready.sweep() == {}
    ready.later(minutes=1)
    assert ready.sweep() == {"sweep_uncertain": 1}
    row = ready.row(message)
    assert (row["state"], row["possible_duplicate"]) == ("pending", True)
    assert (row["not_before"], row["warmup_day"]) == (None, None)
    ready.settle(ready.begin(ready.claim(message)), Verdict("unknown"))
    ready.later(hours=1)
    assert ready.sweep() == {}
    ready.later(hours=48)
    ready.sweep()
    row = ready.row(message)
    assert (row["state"], row["attempts"]) == ("uncertain", 2)
    assert row["finished_at"] is not None


@pytest.mark.parametrize(
    ("state", "ends_as", "reason"),
    [
        ("pending", "skipped", "expired"),
        ("queued", "skipped", "expired"),
        ("deferred", "skipped", "expired"),
        ("held", "failed", "dead_letter"),
    ],
)
def test_what_is_too_late_ends(state: str, ends_as: str, reason: str, ready: Stage) -> None:
    times = {"queued_until": NOW + timedelta(days=9), "not_before": NOW + timedelta(days=9)}
    message = ready.message(1, 1, state=state, **times)
    unknown = ready.message(1, 1, state=state, possible_duplicate=True, **times)
    ready.later(hours=71)
    assert ready.sweep() == {}
    ready.later(hours=1)
    assert ready.sweep() == {"sweep_expired": 2}
    assert ready.state(message) == (ends_as, reason)
    assert ready.state(unknown) == ("uncertain", reason)


@pytest.mark.parametrize("state", ["pending", "queued", "deferred", "held", "claimed", "sent"])
def test_a_cancel_ends_what_waits(state: str, ready: Stage) -> None:
    columns = {
        "queued_until": NOW + timedelta(hours=1), "not_before": NOW + timedelta(hours=1),
        "lease_until": NOW + timedelta(minutes=1), "state": state,
        "finished_at": NOW if state == "sent" else None,
    }  # fmt: skip
    messages = [
        ready.message(1, 1, campaign_id=campaign(ready, "canceled"), **columns),
        ready.message(1, 1, journey_execution_id=execution(ready, "canceled"), **columns),
        ready.message(1, 1, campaign_id=campaign(ready, "sending"), **columns),
        ready.message(1, 1, journey_execution_id=execution(ready, "completed"), **columns),
    ]
    ready.sweep()
    states = [ready.state(own) for own in messages]
    ended = [("skipped", "campaign_canceled"), ("skipped", "execution_canceled")]
    is_waiting = state not in ("claimed", "sent")
    assert states == [*(ended if is_waiting else [(state, None)] * 2), *[(state, None)] * 2]


@pytest.mark.parametrize("kind", ["campaign", "journey", "organization"])
def test_a_pause_ends_with_its_reason(kind: str, ready: Stage) -> None:
    columns = {
        "campaign": {"campaign_id": campaign(ready, "paused")},
        "journey": {"journey_execution_id": execution(ready, "active", "paused")},
        "organization": {},
    }[kind]
    if kind == "organization":
        ready.db.execute("update delivery.organization_settings set marketing_paused_at = now()")
    message = ready.message(1, 1, **columns)
    ready.claim(message)
    assert ready.state(message) == ("deferred", f"{kind}_paused")
    ready.later(hours=100)  # longer than the message would live
    assert ready.sweep() == {}
    if kind == "organization":
        ready.db.execute("update delivery.organization_settings set marketing_paused_at = null")
    else:
        table = {"campaign": "campaign.campaigns", "journey": "journey.journeys"}[kind]
        set_status(ready, table, {"campaign": "sending", "journey": "active"}[kind])
    assert ready.sweep() == {"sweep_resumed": 1}
    row = ready.row(message)
    assert row["not_before"] == ready.outside.now
    assert row["expires_at"] == ready.outside.now + timedelta(hours=72)
    assert len(ready.claim(message).claimed) == 1


def test_old_content_is_emptied(ready: Stage) -> None:
    message = ready.message(variables='{"a": 1}')
    ready.settle(ready.begin(ready.claim(message)), Verdict("accepted"))
    ready.later(days=89)
    assert ready.sweep() == {}
    ready.later(days=2)
    assert ready.sweep() == {"empty_content": 1}
    row = ready.row(message)
    assert (row["address"], row["content"], row["variables"]) == (None, None, None)
    assert ready.sweep() == {}


def test_an_operator_opens_and_settles(ready: Stage) -> None:
    held, lost, known = (ready.message() for _ in range(3))
    sweeps.hold_dead(ready.worker, [held])
    for own in (lost, known):
        ready.settle(ready.begin(ready.claim(own)), Verdict("unknown"))
    assert sweeps.resend_held(ready.worker, [held, lost], NOW) == [held]
    assert sweeps.resolve_uncertain(ready.worker, [lost, held], "pending", NOW) == [lost]
    assert sweeps.resolve_uncertain(ready.worker, [known], "failed", NOW) == [known]
    row = ready.row(lost)
    assert (row["state"], row["possible_duplicate"]) == ("pending", True)
    assert (ready.state(held)[0], ready.state(known)[0]) == ("pending", "failed")
    ready.settle(ready.begin(ready.claim(lost)), Verdict("unknown"))
    ready.later(hours=1)
    ready.sweep()
    assert ready.state(lost)[0] == "uncertain"  # one call, then hold


def test_evidence_makes_a_message_sent_from_any_state(ready: Stage) -> None:
    message = ready.message(1, 1, on_uncertain="retry", **{"class": "transactional"})
    new = ready.message()
    ready.settle(ready.begin(ready.claim(message)), Verdict("unknown"))
    ready.later(minutes=11)
    ready.sweep()
    assert ready.state(message)[0] == "pending"
    assert feedback.record_evidence(ready.worker, [(org(), message)], ready.outside.now)
    assert not feedback.record_evidence(ready.worker, [(org(), new)], ready.outside.now)
    assert not feedback.record_evidence(ready.worker, [(org(2), message)], ready.outside.now)
    assert (ready.state(message)[0], ready.state(new)[0]) == ("sent", "pending")
    assert ready.claim(message).claimed == []
