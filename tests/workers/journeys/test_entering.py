"""Who enters a journey: occasions, entry rules, events, scores and requests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.outcome import Dead, Done
from tests.workers.journeys.stage import NOW, Journey, Stage, org, person

STEPS: Any = {"rest": ("delay", {"duration": 1, "unit": "days"})}


def counts(stage: Stage, journey: Journey) -> list[tuple[int, str]]:
    return [(row["entry_no"], row["status"]) for row in stage.executions(journey)]


def test_a_request_counts_once_for_each_contact(stage: Stage) -> None:
    for number in (1, 2):
        stage.contact(number)
    journey = stage.journey(STEPS, [], settings={"reEntry": {"type": "always"}})
    assert stage.enroll(journey, 1) == Done(1, 1, str(org()))
    stage.pass_time(days=2)
    assert stage.enroll(journey, 1, 2) == Done(2, 1, str(org()))
    assert [(row["contact_id"], row["status"]) for row in stage.executions(journey)] == [
        (person(1), "completed"), (person(2), "active"),
    ]  # fmt: skip


def test_refusals_have_a_reason(stage: Stage) -> None:
    for number in (1, 2, 3):
        stage.contact(number, status="do_not_contact" if number == 2 else "active")
    stage.contact(4, organization=2)
    journey = stage.journey(STEPS, [])
    stage.enroll(journey, 1)
    stage.enroll(journey, 1, 2, 3, 4, 5, request="next")
    reasons = {
        contact: found
        for (contact, occasion), found in stage.entries(journey).items()
        if occasion == "request:next"
    }
    assert reasons == {
        person(1): ("refused", "entered_before"),
        person(2): ("refused", "do_not_contact"),
        person(3): ("entered", None),
        person(4): ("refused", "contact_missing"),
        person(5): ("refused", "contact_missing"),
    }


@pytest.mark.parametrize("status", ["draft", "paused", "archived"])
def test_no_contact_enters_a_journey_that_is_not_active(stage: Stage, status: str) -> None:
    stage.contact()
    journey = stage.journey(STEPS, [])
    stage.set_status(journey, status)
    assert stage.enroll(journey, 1) == Done(1, 0, str(org()))
    assert list(stage.entries(journey).values()) == [("refused", "journey_not_active")]


def test_no_contact_enters_a_journey_that_was_not_published(stage: Stage) -> None:
    stage.contact()
    journey = stage.draft(STEPS, [])
    stage.enroll(journey, 1)
    assert list(stage.entries(journey).values()) == [("refused", "journey_not_active")]


def test_a_request_for_another_organizations_journey_is_a_dead_letter(stage: Stage) -> None:
    journey = stage.journey(STEPS, [], organization=2)
    outcome = stage.enroll(journey, 1)
    assert isinstance(outcome, Dead)
    assert outcome.reason == "unknown_journey"


def test_a_contact_is_in_a_journey_once_at_a_time(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey(STEPS, [], settings={"reEntry": {"type": "always"}})
    for number in range(3):
        stage.enroll(journey, 1, request=f"r{number}")
    assert counts(stage, journey) == [(1, "active")]
    stage.pass_time(days=1, minutes=5)
    stage.enroll(journey, 1, request="r9")
    assert counts(stage, journey) == [(1, "completed"), (2, "active")]


def test_a_cooldown_counts_from_the_end(stage: Stage) -> None:
    stage.contact()
    settings = {"reEntry": {"type": "cooldown", "cooldownDays": 3}}
    journey = stage.journey(STEPS, [], settings=settings)
    stage.enroll(journey, 1)
    stage.pass_time(days=1)  # it ends now
    assert stage.state(journey)[0] == "completed"
    stage.outside.advance(days=2, hours=23)
    stage.enroll(journey, 1, request="early")
    stage.outside.advance(hours=1)
    stage.enroll(journey, 1, request="late")
    found = stage.entries(journey)
    assert found[person(1), "request:early"] == ("refused", "cooldown")
    assert found[person(1), "request:late"] == ("entered", None)


def test_a_cap_counts_executions_of_a_window(stage: Stage) -> None:
    stage.contact()
    settings = {
        "reEntry": {"type": "always"}, "frequencyCap": {"maxCount": 2, "windowDays": 10}
    }  # fmt: skip
    journey = stage.journey({"done": ("exit", {})}, [], settings=settings)
    reasons = []
    for day in (0, 1, 2, 9, 10, 10.5, 11):
        stage.outside.now = NOW + timedelta(days=day)
        stage.enroll(journey, 1, request=f"day {day}")
        stage.deliver()
        reasons.append(stage.entries(journey)[person(1), f"request:day {day}"][1])
    assert reasons == [None, None, "cap", "cap", None, "cap", None]


def test_the_platforms_function_enters_without_a_queue_message(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey(STEPS, [])
    call = "select journey.enroll(:org, :journey, array[cast(:contact as uuid)], 'r') as entered"
    parameters = {"org": org(), "journey": journey.id, "contact": person(1)}
    assert [stage.db.rows(call, **parameters)[0]["entered"] for _ in range(2)] == [1, 0]
    stage.outside.now = stage.execution(journey)["wake_at"]
    stage.wake_due()
    stage.deliver()
    assert stage.visits(journey) == ["rest (running)"]


def test_events_enter_once_each_if_their_data_match(stage: Stage) -> None:
    for number in (1, 2):
        stage.contact(number)
    settings = {"reEntry": {"type": "always"}}
    journey = stage.journey({"done": ("exit", {})}, [], settings=settings)
    stage.trigger(journey, "event", eventType="form_submitted", filters={"form": "demo", "n": 1})
    stage.event(1, "form_submitted", form="demo", n=1, more=True)
    stage.event(2, "form_submitted", form="demo", n=2)
    stage.event(2, "form_submitted", form="other")
    stage.event(2, "page_visited", form="demo", n=1)
    for _ in range(2):
        stage.wake_due()
        stage.deliver()
    assert [row["contact_id"] for row in stage.executions(journey)] == [person(1)]
    stage.event(1, "form_submitted", form="demo", n=1)
    stage.event(1, "form_submitted", form="demo", n=1)
    stage.wake_due()
    stage.deliver()
    # Two at once: the contact is in the journey by the first.
    assert sorted(outcome for outcome, _ in stage.entries(journey).values()) == [
        "entered", "entered", "refused",
    ]  # fmt: skip
    assert stage.db.rows("select * from journey.pending_events") == []


def test_only_events_that_a_trigger_or_a_gate_names_are_in_the_feed(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey(STEPS, [])
    trigger = stage.trigger(journey, "event", eventType="form_submitted")
    stage.event(1, "page_visited")
    stage.event(1, "form_submitted", organization=2)
    feed = "select name from crm.contact_changes where consumer = 'events'"
    assert stage.db.rows(feed) == []
    stage.event(1, "form_submitted")
    assert stage.db.rows(feed) == [{"name": "form_submitted"}]
    stage.db.execute("update journey.journey_triggers set enabled = false where id = :id",
                     id=trigger)  # fmt: skip
    stage.event(1, "form_submitted")
    assert len(stage.db.rows(feed)) == 1


def crossing(contact: int, threshold: int, direction: str, event: str) -> dict[str, Any]:
    low, high = threshold - 5, threshold + 5
    score, previous = (high, low) if direction == "up" else (low, high)
    return {
        "type": "scoring.ScoreThresholdCrossed",
        "eventId": event,
        "occurredAt": NOW.isoformat(),
        "data": {
            "organizationId": str(org()), "contactId": str(person(contact)), "score": score,
            "previousScore": previous, "threshold": threshold, "direction": direction,
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("trigger_type", "config", "enters"),
    [
        ("score", {"threshold": 60}, {1}),
        ("score", {"threshold": 60, "operator": "lte"}, {2}),
        ("score_threshold", {"minScore": 60}, {1}),
        ("score_threshold", {"threshold": 40, "direction": "down"}, set()),
        ("score", {"threshold": 50}, set()),
    ],
)
def test_scores_enter_by_threshold_and_direction(
    stage: Stage, trigger_type: str, config: dict[str, Any], enters: set[int]
) -> None:
    for number in (1, 2):
        stage.contact(number)
    journey = stage.journey(STEPS, [])
    stage.trigger(journey, trigger_type, **config)
    messages = [crossing(1, 60, "up", "a-60"), crossing(2, 60, "down", "b-60")]
    stage.consume(*messages)
    stage.consume(*messages)
    assert {row["contact_id"] for row in stage.executions(journey)} == {
        person(number) for number in enters
    }


@pytest.mark.parametrize(
    ("trigger_type", "config", "problem"),
    [
        ("segment", {"segmentId": str(uuid4())}, None),
        ("segment", {"segmentId": "all"}, "segmentId is not an id"),
        ("segment", {"segmentId": str(uuid4()), "existing": "no"}, "existing is not true or false"),
        ("scheduled", {"cron": "0 0 * * *"}, "not supported"),
        ("intent_signal", {}, "not supported"),
        ("event", {}, "eventType is missing"),
        ("event", {"eventType": "x", "filters": [1]}, "filters is not an object"),
        ("score", {"threshold": 55},
         "the threshold is not 20, 40, 60 or 80: use a segment on lead_score"),
        ("manual", {}, None),
    ],
)  # fmt: skip
def test_a_trigger_that_enrolls_no_contact_says_why(
    stage: Stage, trigger_type: str, config: dict[str, Any], problem: str | None
) -> None:
    journey = stage.journey(STEPS, [])
    trigger = stage.trigger(journey, trigger_type, **config)
    [row] = stage.db.rows("select problem from journey.journey_triggers where id = :id", id=trigger)
    assert row["problem"] == problem


def test_executions_of_before_count_as_entries(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey(STEPS, [])
    stage.db.execute(
        "insert into journey.journey_executions"
        " (journey_id, organization_id, contact_id, status, started_at, completed_at)"
        " values (:journey, :org, :contact, 'completed', :at, :at)",
        journey=journey.id, org=org(), contact=person(1), at=NOW - timedelta(days=9),
    )  # fmt: skip
    stage.enroll(journey, 1)
    assert list(stage.entries(journey).values()) == [("refused", "entered_before")]


def test_whoever_ends_an_execution_the_contact_has_left(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey(STEPS, [], settings={"reEntry": {"type": "always"}})
    stage.enroll(journey, 1)
    stage.db.execute("update journey.journey_executions set status = 'canceled'")
    stage.enroll(journey, 1, request="again")
    assert counts(stage, journey) == [(1, "canceled"), (2, "active")]
