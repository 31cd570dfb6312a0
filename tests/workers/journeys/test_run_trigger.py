"""The members of a segment enter the journey of its trigger, each stay once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from journeys.store import triggers
from tests.workers.journeys.stage import Journey, Stage, person

STEPS: Any = {"rest": ("delay", {"duration": 30, "unit": "days"})}
EXIT: Any = {"done": ("exit", {})}
ALWAYS = {"reEntry": {"type": "always"}}
CUSTOMERS = {"operator": "and", "conditions": [
    {"field": "stage", "operator": "eq", "value": "customer"}
]}  # fmt: skip


def set_stage(stage: Stage, number: int, text: str) -> None:
    stage.db.execute(
        "update crm.contacts set stage = :stage where id = :id", id=person(number), stage=text
    )


def built(stage: Stage) -> UUID:
    """A segment of customers that is ready."""
    segment = stage.segment(CUSTOMERS)
    for _ in range(2):
        stage.tick()
        stage.outside.advance(minutes=5)
    [row] = stage.db.rows("select state from crm.segments where id = :id", id=segment)
    assert row["state"] == "ready"
    return segment


def next_hour(stage: Stage) -> None:
    stage.outside.now = (stage.now + timedelta(hours=1)).replace(minute=0)
    stage.hour()


def inside(stage: Stage, journey: Journey) -> list[int]:
    return [row["contact_id"].int - 1_000 for row in stage.executions(journey)]


def test_members_and_those_who_become_members_enter(stage: Stage) -> None:
    for number in (1, 2, 3):
        stage.contact(number, stage="customer" if number == 1 else "lead")
    segment = built(stage)
    journey = stage.journey(STEPS, [])
    stage.trigger(journey, "segment", segmentId=str(segment))
    next_hour(stage)
    assert inside(stage, journey) == [1]
    set_stage(stage, 2, "customer")
    next_hour(stage)
    assert inside(stage, journey) == [1, 2]
    next_hour(stage)
    assert inside(stage, journey) == [1, 2]


def test_existing_members_stay_out_if_the_trigger_says_so(stage: Stage) -> None:
    for number in (1, 2):
        stage.contact(number, stage="customer" if number == 1 else "lead")
    segment = built(stage)
    journey = stage.journey(STEPS, [])
    stage.trigger(journey, "segment", segmentId=str(segment), existing=False)
    next_hour(stage)
    set_stage(stage, 2, "customer")
    next_hour(stage)
    assert inside(stage, journey) == [2]
    assert ("refused", "existing") in stage.entries(journey).values()


def test_each_stay_is_an_occasion(stage: Stage) -> None:
    stage.contact(stage="customer")
    segment = built(stage)
    journey = stage.journey(EXIT, [], settings=ALWAYS)
    stage.trigger(journey, "segment", segmentId=str(segment))
    for text in ("customer", "customer", "lead", "customer", "customer"):
        set_stage(stage, 1, text)
        next_hour(stage)
    assert [row["entry_no"] for row in stage.executions(journey)] == [1, 2]


def test_a_stay_that_is_over_is_no_occasion(stage: Stage) -> None:
    """The contact comes, leaves and comes again before the trigger runs."""
    stage.contact(stage="lead")
    segment = built(stage)
    journey = stage.journey(EXIT, [], settings=ALWAYS)
    stage.trigger(journey, "segment", segmentId=str(segment))
    next_hour(stage)
    stage.disturb = lambda bodies: [own for own in bodies if own["type"] != "journey.run-trigger"]
    for text in ("customer", "lead", "customer"):
        set_stage(stage, 1, text)
        next_hour(stage)
    stage.disturb = lambda bodies: bodies
    for _ in range(2):
        next_hour(stage)
    assert len(stage.executions(journey)) == 1


def test_who_must_wait_is_asked_again_while_the_stay_lasts(stage: Stage) -> None:
    """Contact 1 stays until the cooldown ends, contact 2 leaves before."""
    for number in (1, 2):
        stage.contact(number, stage="customer")
    segment = built(stage)
    cooldown = {"reEntry": {"type": "cooldown", "cooldownDays": 1}}
    journey = stage.journey(EXIT, [], settings=cooldown)
    stage.enroll(journey, 1, 2)
    stage.deliver()
    left_at = stage.now
    stage.trigger(journey, "segment", segmentId=str(segment))
    next_hour(stage)
    assert sorted(stage.entries(journey).values())[:2] == [("blocked", "cooldown")] * 2
    set_stage(stage, 2, "lead")
    next_hour(stage)
    stage.outside.now = left_at + timedelta(days=1)
    next_hour(stage)
    assert [(row["contact_id"], row["entry_no"]) for row in stage.executions(journey)] == [
        (person(1), 1), (person(1), 2), (person(2), 1),
    ]  # fmt: skip
    assert ("refused", "left_segment") in stage.entries(journey).values()


def test_who_became_a_member_during_a_pause_enters_after_it(stage: Stage) -> None:
    stage.contact(stage="lead")
    segment = built(stage)
    journey = stage.journey(STEPS, [])
    stage.trigger(journey, "segment", segmentId=str(segment))
    next_hour(stage)
    stage.set_status(journey, "paused")
    set_stage(stage, 1, "customer")
    next_hour(stage)
    assert inside(stage, journey) == []
    stage.set_status(journey, "active")
    next_hour(stage)
    assert inside(stage, journey) == [1]


def test_changes_that_are_no_longer_kept_are_found_by_a_pass(stage: Stage) -> None:
    stage.contact(stage="lead")
    segment = built(stage)
    journey = stage.journey(STEPS, [])
    trigger = stage.trigger(journey, "segment", segmentId=str(segment))
    next_hour(stage)
    stage.db.execute(
        "update journey.journey_triggers set enabled = false where id = :id", id=trigger
    )
    set_stage(stage, 1, "customer")
    next_hour(stage)
    stage.db.execute("delete from crm.segment_changes")
    stage.db.execute(
        "update journey.journey_triggers set enabled = true where id = :id", id=trigger
    )
    next_hour(stage)
    assert inside(stage, journey) == [1]


def test_a_static_segment_enters_what_the_platform_adds(stage: Stage) -> None:
    stage.contact()
    segment = stage.segment()
    journey = stage.journey(STEPS, [])
    stage.trigger(journey, "segment", segmentId=str(segment))
    next_hour(stage)
    stage.db.execute(
        "insert into crm.segment_contacts (segment_id, contact_id, organization_id)"
        " select :segment, id, organization_id from crm.contacts",
        segment=segment,
    )
    next_hour(stage)
    assert inside(stage, journey) == [1]


def test_a_segment_that_is_being_built_enters_no_contact(stage: Stage) -> None:
    stage.contact(stage="customer")
    segment = stage.segment(CUSTOMERS)
    journey = stage.journey(STEPS, [])
    stage.trigger(journey, "segment", segmentId=str(segment))
    next_hour(stage)
    assert inside(stage, journey) == []
    for _ in range(5):  # it is built, and the trigger is asked again
        stage.outside.advance(minutes=5)
        stage.tick()
    assert inside(stage, journey) == [1]


def test_a_pass_goes_on_where_it_stood(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """In portions of two; a lost message costs ten minutes."""
    monkeypatch.setattr(triggers, "ROWS_MAX", 2)
    for number in range(1, 8):
        stage.contact(number, stage="customer")
    segment = built(stage)
    journey = stage.journey(STEPS, [])
    stage.trigger(journey, "segment", segmentId=str(segment))
    stage.disturb = lambda bodies: [own for own in bodies if own["type"] != "journey.run-trigger"]
    next_hour(stage)
    assert inside(stage, journey) == []
    stage.disturb = lambda bodies: bodies
    for _ in range(3):
        stage.outside.advance(minutes=5)
        stage.tick()
    assert inside(stage, journey) == list(range(1, 8))
    [progress] = stage.db.rows("select due_at, pass_after from journey.trigger_progress")
    assert progress == {"due_at": None, "pass_after": None}
