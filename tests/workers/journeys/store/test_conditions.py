"""Condition steps decide by the criteria of segments, at the time of the visit."""

from __future__ import annotations

from typing import Any

import pytest

from shared.outcome import Dead
from tests.workers.journeys.stage import Stage


@pytest.fixture
def stage(database: str) -> Any:
    found = Stage(database)
    yield found
    found.close()


def condition(**config: Any) -> Any:
    return {
        "if": ("condition", {"type": "split_condition", **config}),
        "then": ("exit", {}), "else": ("exit", {}),
    }  # fmt: skip


LINKS = [("if", "yes", "then"), ("if", "no", "else")]


def test_a_condition_reads_the_contact_at_the_visit(stage: Stage) -> None:
    for number in (1, 2, 3):
        stage.contact(number, stage=("lead", "customer", None)[number - 1])
    journey = stage.journey(condition(field="stage", operator="eq", value="customer"), LINKS)
    stage.enroll(journey, 1, 2, 3)
    stage.db.execute("update crm.contacts set stage = 'customer' where stage = 'lead'")
    stage.deliver()
    assert [stage.visits(journey, number) for number in (1, 2, 3)] == [
        ["if:yes", "then"], ["if:yes", "then"], ["if:no", "else"],
    ]  # fmt: skip


def test_a_condition_may_be_a_group(stage: Stage) -> None:
    for number in (1, 2):
        stage.contact(number, stage="lead", first_name=("Ann", "Bob")[number - 1])
    journey = stage.journey(
        condition(operator="or", conditions=[
            {"field": "stage", "operator": "eq", "value": "customer"},
            {"field": "first_name", "operator": "starts_with", "value": "a"},
        ]),
        LINKS,
    )  # fmt: skip
    stage.enroll(journey, 1, 2)
    stage.deliver()
    assert [stage.visits(journey, number)[0] for number in (1, 2)] == ["if:yes", "if:no"]


def test_criteria_that_cannot_be_understood_are_a_dead_letter(stage: Stage) -> None:
    stage.contact()
    journey = stage.journey(condition(field="stage", operator="resembles", value="x"), LINKS)
    stage.enroll(journey, 1)
    [outcome] = [own for own in stage.deliver() if isinstance(own, Dead)]
    assert outcome.reason == "step_failed"
    assert "the criteria of the condition are invalid" in outcome.error_text
