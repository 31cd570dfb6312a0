"""What a version needs to be published, and that it does not change afterwards."""

from __future__ import annotations

from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest

from mauntic.database.url import connect
from shared.errors import DatabaseError
from tests.workers.journeys.stage import TEMPLATE, Link, Stage

MAIL: Any = ("action", {"type": "send_email", "templateId": str(TEMPLATE)})
EXIT: Any = ("exit", {})


@pytest.mark.parametrize(
    ("steps", "links", "problem"),
    [
        ({}, [], "no entry"),
        ({"a": EXIT, "b": EXIT}, [], "more than one entry"),
        ({"t": ("trigger", {}), "a": EXIT}, [], "no entry"),
        ({"t": ("trigger", {}), "a": EXIT, "b": EXIT}, [("t", "", "a"), ("t", "x", "b")],
         "more than one entry"),
        ({"a": ("webhook", {})}, [], 'the type "webhook" is not known'),
        ({"a": ("action", {"type": "call"})}, [], 'the action "call" is not known'),
        ({"a": ("action", {"action": "send_sms", "templateId": 7})}, [], "templateId is not an id"),
        ({"a": ("delay", {"duration": 0, "unit": "days"})}, [], "duration is not a number"),
        ({"a": ("delay", {"duration": "3", "unit": "days"})}, [], "duration is not a number"),
        ({"a": ("delay", {"duration": 3, "unit": "weeks"})}, [], "unit is not"),
        ({"a": ("delay", {"type": "delay_until", "time": "24:00"})}, [], "time is not HH:MM"),
        ({"a": ("delay", {"type": "delay_until", "time": "09:00", "weekdays": [0]})}, [],
         "weekdays is not a list"),
        ({"a": ("delay", {"type": "delay_until", "time": "09:00", "weekdays": []})}, [],
         "weekdays is not a list"),
        ({"a": ("split", {"branches": [{"label": "x", "percentage": 99}]})}, [],
         "do not add up to 100"),
        ({"a": ("split", {"branches": [{"label": "x", "percentage": 50},
                                       {"label": "x", "percentage": 50}]})}, [], "the same label"),
        ({"a": ("gate", {})}, [], "eventType is missing"),
        ({"a": ("gate", {"eventType": "x", "timeout": -1})}, [], "timeout is not a number"),
        ({"a": MAIL}, [("a", "", "elsewhere")], "leads out of the version"),
        ({"a": MAIL, "b": EXIT}, [("a", "yes", "b")], '"yes" is not one of its labels'),
        ({"a": ("gate", {"eventType": "x"}), "b": EXIT}, [("a", "maybe", "b")],
         '"maybe" is not one of its labels'),
    ],
)  # fmt: skip
def test_a_version_with_a_problem_is_not_published(
    stage: Stage, steps: Any, links: list[Link], problem: str
) -> None:
    journey = stage.draft(steps, links)
    publish = "update journey.journey_versions set published_at = now() where id = :id"
    with closing(connect(stage.url)) as platform, pytest.raises(Exception, match=problem):
        platform.run(publish, id=journey.version_id)


def test_publishing_makes_the_version_the_one_that_contacts_enter(stage: Stage) -> None:
    journey = stage.journey({"t": ("trigger", {}), "a": EXIT}, [("t", "", "a")])
    [row] = stage.db.rows(
        "select active_version_id, entry_step_id from journey.journeys as own"
        " join journey.journey_versions as version on version.id = own.active_version_id"
    )
    assert row == {
        "active_version_id": journey.version_id, "entry_step_id": journey.steps["a"]
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        "update journey.journey_steps set config = '{}' where type = 'action'",
        "delete from journey.journey_steps",
        "insert into journey.journey_steps (journey_version_id, organization_id, type)"
        " select id, organization_id, 'exit' from journey.journey_versions",
        "update journey.journey_step_connections set label = 'x'",
        "delete from journey.journey_step_connections",
        "update journey.journey_versions set published_at = null",
        "update journey.journey_versions set definition = '{}'",
        "delete from journey.journey_versions",
    ],
)
def test_what_is_published_does_not_change(stage: Stage, change: str) -> None:
    stage.journey({"a": MAIL, "b": EXIT}, [("a", "", "b")])
    with (
        closing(connect(stage.url)) as platform,
        pytest.raises(Exception, match="published version"),
    ):
        platform.run(change)


def test_an_execution_stays_on_its_version(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey({"rest": ("delay", {"duration": 1, "unit": "days"})}, [])
    stage.enroll(journey, 1)
    stage.deliver()
    other = uuid4()
    stage.db.execute(
        "insert into journey.journey_versions (id, journey_id, organization_id, version_number)"
        " select cast(:id as uuid), id, organization_id, 2 from journey.journeys",
        id=other,
    )
    stage.db.execute(
        "insert into journey.journey_steps (journey_version_id, organization_id, type)"
        " select cast(:id as uuid), organization_id, 'exit' from journey.journeys",
        id=other,
    )
    stage.db.execute(
        "update journey.journey_versions set published_at = now() where id = :id", id=other
    )
    stage.pass_time(days=2)
    assert stage.visits(journey) == ["rest"]
    assert stage.state(journey) == ("completed", "end")


def test_a_journey_is_deleted_with_its_versions_and_steps(stage: Stage) -> None:
    stage.journey({"a": MAIL, "b": EXIT}, [("a", "", "b")])
    for table in ("journeys", "journey_step_connections", "journey_steps", "journey_versions"):
        stage.db.execute(f"delete from journey.{table}")


@pytest.mark.parametrize(
    "settings",
    [
        {"reEntry": {"type": "sometimes"}},
        {"reEntry": {"type": "cooldown"}},
        {"reEntry": {"type": "cooldown", "cooldownDays": "3"}},
        {"frequencyCap": {"maxCount": 0, "windowDays": 3}},
        {"frequencyCap": {"maxCount": 1}},
    ],
)
def test_settings_that_cannot_be_understood_are_refused(
    stage: Stage, settings: dict[str, Any]
) -> None:
    with pytest.raises(DatabaseError, match="22023"):
        stage.draft({"a": EXIT}, [], settings=settings)
