"""Executions: what each step does, and what ends them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.outcome import Dead, Done, RetryIn
from tests.workers.journeys.stage import NOW, TEMPLATE, Stage, org, person

Steps = dict[str, tuple[str, dict[str, Any]]]
MAIL: dict[str, Any] = {"type": "send_email", "templateId": str(TEMPLATE)}


def test_a_journey_runs_from_its_entry_to_its_exit(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey(
        {
            "start": ("trigger", {}),
            "mail": ("action", {**MAIL, "subject": "Hello"}),
            "rest": ("delay", {"duration": 3, "unit": "days"}),
            "text": ("action", {"action": "send_sms", "templateId": str(TEMPLATE)}),
            "done": ("exit", {}),
        },
        [("start", "", "mail"), ("mail", "", "rest"), ("rest", "", "text"), ("text", "", "done")],
    )
    assert stage.enroll(journey, 1) == Done(1, 1, str(org()))
    stage.deliver()
    assert stage.visits(journey) == ["mail", "rest (running)"]
    assert stage.execution(journey)["wake_at"] == NOW + timedelta(days=3)

    stage.later(days=2, hours=23, minutes=54)
    stage.wake_due()
    assert stage.queue == []  # it is due in six minutes
    stage.later(minutes=5)
    stage.wake_due()
    [sent] = stage.queue
    assert sent.due_at == NOW + timedelta(days=3)
    stage.later(minutes=1)

    assert stage.visits(journey) == ["mail", "rest", "text", "done"]
    assert stage.state(journey) == ("completed", "exit")
    execution = stage.execution(journey)
    keys = [f"journey:{execution['id']}:{journey.steps[name]}:{seq}" for name, seq in
            (("mail", 1), ("text", 3))]  # fmt: skip
    assert sorted(
        (row["idempotency_key"], row["channel"], row["class"], row["content"], row["created_at"])
        for row in stage.messages()
    ) == sorted(
        [
            (keys[0], "email", "marketing", {"subject": "Hello"}, NOW),
            (keys[1], "sms", "marketing", None, NOW + timedelta(days=3)),
        ]
    )
    for row in stage.messages():
        assert (row["contact_id"], row["journey_id"], row["template_id"], row["state"]) == (
            person(1), journey.id, TEMPLATE, "pending",
        )  # fmt: skip
        assert row["expires_at"] - row["created_at"] == timedelta(hours=72)


def test_a_wait_of_a_few_hours_sends_its_message_at_once(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey({"rest": ("delay", {"duration": 90, "unit": "minutes"})}, [])
    stage.enroll(journey, 1)
    stage.deliver()
    [sent] = stage.queue
    assert sent.due_at == NOW + timedelta(minutes=90)
    stage.later(minutes=86)
    stage.wake_due()
    assert stage.queue == [sent]  # it is on its way
    stage.later(minutes=4)
    assert stage.state(journey) == ("completed", "end")


def test_a_lost_message_is_sent_again_within_twenty_minutes(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey({"rest": ("delay", {"duration": 1, "unit": "hours"})}, [])
    stage.enroll(journey, 1)
    stage.queue.clear()
    for _ in range(4):
        stage.wake_due()
        stage.later(minutes=5)
    assert stage.visits(journey) == ["rest (running)"]
    entered_at = stage.execution(journey)["last_progress_at"]
    assert entered_at <= NOW + timedelta(minutes=20)
    stage.queue.clear()
    for _ in range(16):
        stage.wake_due()
        stage.later(minutes=5)
    assert stage.state(journey) == ("completed", "end")
    assert stage.execution(journey)["completed_at"] <= entered_at + timedelta(hours=1, minutes=20)


def test_a_message_for_another_visit_or_a_missing_execution_is_done(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey({"rest": ("delay", {"duration": 1, "unit": "days"})}, [])
    stage.enroll(journey, 1)
    [sent] = stage.queue
    stage.deliver()
    before = stage.execution(journey)
    missing = {**sent.body, "data": {**sent.body["data"], "executionId": str(person(9))}}
    foreign = {**sent.body, "data": {**sent.body["data"], "organizationId": str(org(2)), "seq": 1}}
    outcomes = stage.consume(sent.body, sent.body, missing, foreign)
    assert {type(own) for own in outcomes} == {Done}
    assert stage.execution(journey) == before


def test_a_message_of_a_visit_that_is_over_does_not_advance_what_is_due(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey({"rest": ("delay", {"duration": 1, "unit": "days"})}, [])
    stage.enroll(journey, 1)
    [sent] = stage.queue
    stage.deliver()
    stage.outside.advance(days=1)
    assert [type(own) for own in stage.consume(sent.body)] == [Done]
    assert stage.visits(journey) == ["rest (running)"]


def test_a_message_that_is_a_little_early_comes_again(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey({"rest": ("delay", {"duration": 10, "unit": "minutes"})}, [])
    stage.enroll(journey, 1)
    stage.deliver()
    [sent] = stage.queue
    stage.outside.advance(minutes=9, seconds=30)
    assert stage.consume(sent.body) == [RetryIn(30, "TooEarly", "the execution is due later")]
    stage.outside.advance(minutes=-5)
    assert [type(own) for own in stage.consume(sent.body)] == [Done]
    assert stage.visits(journey) == ["rest (running)"]


def split(*shares: tuple[str, float]) -> tuple[str, dict[str, Any]]:
    return "split", {"branches": [{"label": name, "percentage": own} for name, own in shares]}


def test_a_split_has_its_shares_and_a_label_without_a_connection_takes_the_other(
    stage: Stage,
) -> None:
    people = range(1, 401)
    for number in people:
        stage.contact(number)
    journey = stage.journey(
        {
            "split": split(("a", 50), ("b", 30), ("c", 20)),
            "first": ("exit", {}),
            "else": ("exit", {}),
        },
        [("split", "a", "first"), ("split", "", "else")],
    )
    for start in range(1, 401, 100):
        stage.enroll(journey, *range(start, start + 100))
    stage.deliver()
    visits = [tuple(stage.visits(journey, number)) for number in people]
    counts = {own: visits.count(own) for own in set(visits)}
    assert counts.keys() == {("split:a", "first"), ("split:b", "else"), ("split:c", "else")}
    # Four standard deviations of a share of 400.
    assert abs(counts["split:a", "first"] - 200) < 40
    assert abs(counts["split:b", "else"] - 120) < 37


def test_a_label_without_any_connection_ends_the_execution(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey({"split": split(("a", 100))}, [])
    stage.enroll(journey, 1)
    stage.deliver()
    assert stage.state(journey) == ("completed", "no_branch")


GATE: Steps = {
    "gate": ("gate", {"eventType": "form_submitted", "timeout": 48}),
    "came": ("exit", {}),
    "stayed": ("exit", {}),
}
GATE_LINKS = [("gate", "yes", "came"), ("gate", "no", "stayed")]


def test_a_gate_opens_by_an_event_after_the_visit(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey(GATE, GATE_LINKS)
    stage.event(1, "form_submitted", NOW - timedelta(minutes=1))
    stage.enroll(journey, 1)
    stage.deliver()
    stage.later(hours=1)
    assert stage.visits(journey) == ["gate (running)"]
    assert stage.execution(journey)["wake_at"] == NOW + timedelta(hours=48)
    stage.event(1, "page_visited")
    stage.wake_due()
    assert stage.visits(journey) == ["gate (running)"]
    stage.event(1, "form_submitted")
    stage.wake_due()
    stage.deliver()
    assert stage.visits(journey) == ["gate:yes", "came"]
    assert stage.db.rows("select * from journey.waits") == []


def test_a_gate_closes_at_its_deadline_and_a_later_event_does_not_count(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey(GATE, GATE_LINKS)
    stage.enroll(journey, 1)
    stage.deliver()
    stage.event(1, "form_submitted", NOW + timedelta(hours=48, minutes=1))
    stage.outside.advance(hours=49)  # the message of the deadline was late
    stage.wake_due()
    stage.deliver()
    assert stage.visits(journey) == ["gate:no", "stayed"]


def test_a_gate_reads_two_minutes_after_the_visit_what_was_committed_meanwhile(
    stage: Stage,
) -> None:
    stage.contact()
    journey = stage.journey(GATE, GATE_LINKS)
    stage.enroll(journey, 1)
    stage.deliver()
    stage.event(1, "form_submitted")
    stage.db.execute("delete from crm.contact_changes where consumer = 'events'")
    stage.later(minutes=2)
    assert stage.visits(journey) == ["gate:yes", "came"]


def test_a_gate_for_a_message_waits_for_a_message_of_its_execution(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey(
        {
            "mail": ("action", MAIL),
            "rest": ("delay", {"duration": 1, "unit": "days"}),
            "gate": ("gate", {"eventType": "email_opened", "timeout": None}),
        },
        [("mail", "", "rest"), ("rest", "", "gate")],
    )
    stage.enroll(journey, 1)
    stage.deliver()
    stage.event(1, "email_opened", NOW + timedelta(hours=1), journeyExecutionId=str(org(5)))
    stage.pass_time(days=2)
    assert stage.execution(journey)["wake_at"] is None  # without a deadline
    own_id = str(stage.execution(journey)["id"])
    # It was opened before the gate was reached, and is reported late.
    stage.event(1, "email_opened", NOW + timedelta(hours=2), journeyExecutionId=own_id)
    stage.pass_time(minutes=5)
    assert stage.visits(journey) == ["mail", "rest", "gate:yes"]


def test_a_paused_journey_stands_still_and_goes_on_when_it_is_resumed(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey({"rest": ("delay", {"duration": 1, "unit": "hours"})}, [])
    stage.enroll(journey, 1)
    stage.deliver()
    stage.set_status(journey, "paused")
    stage.later(hours=2)
    stage.wake_due()
    assert (stage.state(journey), stage.queue) == (("active", None), [])
    stage.set_status(journey, "active")
    stage.wake_due()
    stage.deliver()
    assert stage.state(journey) == ("completed", "end")


def test_what_is_archived_or_deleted_is_canceled(stage: Stage) -> None:
    for number in (1, 2):
        stage.contact(number)
    steps: Steps = {"rest": ("delay", {"duration": 9, "unit": "days"})}
    archived, deleted = stage.journey(steps, []), stage.journey(steps, [])
    stage.enroll(archived, 1)
    stage.enroll(deleted, 2)
    stage.deliver()
    stage.set_status(archived, "archived")
    stage.db.execute("delete from journey.journeys where id = :id", id=deleted.id)
    stage.wake_due()
    assert stage.state(archived) == ("canceled", "journey_archived")
    assert stage.state(deleted) == ("canceled", "journey_deleted")
    assert stage.visits(archived) == ["rest (skipped)"]
    assert stage.logs() == [("info", "journey_archived"), ("info", "journey_deleted")]


def test_the_execution_of_a_deleted_contact_is_canceled_within_a_run(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey({"rest": ("delay", {"duration": 9, "unit": "days"})}, [])
    stage.enroll(journey, 1)
    stage.deliver()
    stage.db.execute("delete from crm.contacts")
    stage.wake_due()
    stage.deliver()
    assert stage.state(journey) == ("canceled", "contact_deleted")
    assert stage.logs() == [("info", "contact_deleted")]


def test_a_loop_ends_after_a_thousand_visits(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey(
        {"start": ("trigger", {}), "task": ("action", {"type": "create_task"})},
        [("start", "", "task"), ("task", "", "task")],
    )
    stage.enroll(journey, 1)
    outcomes = stage.deliver()
    assert stage.state(journey) == ("failed", "too_many_steps")
    assert len(stage.visits(journey)) == 1_000
    assert len(outcomes) == 40  # 25 visits each
    assert stage.logs() == [("error", "too_many_steps")]


def failing(stage: Stage) -> Any:
    """A journey with a step that no longer can be carried out."""
    journey = stage.journey({"mail": ("action", MAIL), "bad": ("exit", {})}, [("mail", "", "bad")])
    stage.db.execute("alter table journey.journey_steps disable trigger guard_steps")
    stage.db.execute(
        "update journey.journey_steps set type = 'webhook' where id = :id", id=journey.steps["bad"]
    )
    return journey


def test_a_step_that_fails_ends_its_execution_alone_and_keeps_what_was_done(stage: Stage) -> None:
    for number in (1, 2):
        stage.contact(number)
    journey, healthy = failing(stage), stage.journey({"done": ("exit", {})}, [])
    stage.enroll(journey, 1)
    stage.enroll(healthy, 2)
    outcomes = stage.deliver()
    [dead] = [own for own in outcomes if isinstance(own, Dead)]
    assert dead == Dead(
        "step_failed", "StepFailed", "steps of the type 'webhook' are not supported"
    )
    assert stage.state(healthy) == ("completed", "exit")
    assert stage.visits(journey) == ["mail"]
    assert len(stage.messages()) == 1


@pytest.mark.parametrize("zone", ["contact", "organization"])
def test_a_time_of_day_is_that_of_the_zone(stage: Stage, zone: str) -> None:
    stage.db.execute(
        "insert into delivery.organization_settings (organization_id, time_zone)"
        " values (:org, 'Asia/Tokyo')",
        org=org(),
    )
    stage.contact(time_zone="America/New_York")
    journey = stage.journey(
        {"rest": ("delay", {"type": "delay_until", "time": "09:30", "zone": zone})}, []
    )
    stage.enroll(journey, 1)
    stage.deliver()
    # 11:00 UTC is 07:00 in New York, with summer time since 8 March, and 20:00 in Tokyo.
    expected = {
        "contact": datetime(2026, 3, 10, 13, 30, tzinfo=UTC),
        "organization": datetime(2026, 3, 11, 0, 30, tzinfo=UTC),
    }
    assert stage.execution(journey)["wake_at"] == expected[zone]
