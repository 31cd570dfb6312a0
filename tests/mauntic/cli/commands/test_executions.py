"""`mauntic executions`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from tests.mauntic.harness import Cli
from tests.workers.journeys.stage import TEMPLATE, Journey, Stage, person


@pytest.fixture
def stage(database: str) -> Iterator[Stage]:
    found = Stage(database)
    found.outside.now = datetime.now(UTC).replace(microsecond=0)
    with closing(found):
        yield found


@pytest.fixture
def journey(stage: Stage) -> Journey:
    """A contact waits in a gate after a message."""
    stage.contact()
    found = stage.journey(
        {
            "mail": ("action", {"type": "send_email", "templateId": str(TEMPLATE)}),
            "gate": ("gate", {"eventType": "form_submitted", "timeout": 48}),
        },
        [("mail", "", "gate")],
    )
    stage.enroll(found, 1)
    stage.deliver()
    return found


def test_an_execution_is_shown_with_every_visit_wait_and_log(
    cli: Cli, stage: Stage, journey: Journey
) -> None:
    own = str(stage.execution(journey)["id"])
    found = cli("executions", "show", own, "--json").json
    assert found["execution"]["contact_id"] == str(person(1))
    assert [
        (row["visit"], row["type"], row["action"], row["status"], row["message"])
        for row in found["visits"]
    ] == [
        (1, "action", "send_email", "completed", "pending"),
        (2, "gate", None, "running", None),
    ]
    assert [row["event_type"] for row in found["waits"]] == ["form_submitted"]
    text = cli("executions", "show", own).out
    assert "active, 2 visits; due at" in text


def test_executions_are_listed_by_status_contact_and_journey(
    cli: Cli, stage: Stage, journey: Journey
) -> None:
    own = str(stage.execution(journey)["id"])
    filters: list[tuple[str, ...]] = [
        (), ("--contact", str(person(1))), ("--journey", str(journey.id)), ("--status", "active")
    ]  # fmt: skip
    for words in filters:
        assert [row["id"] for row in cli("executions", "list", *words, "--json").json] == [own]
    for words in (("--stale",), ("--contact", str(person(2))), ("--status", "completed")):
        assert cli("executions", "list", *words, "--json").json == []


def test_an_execution_is_canceled_once(cli: Cli, stage: Stage, journey: Journey) -> None:
    own = str(stage.execution(journey)["id"])
    cancel = ("executions", "cancel", own)
    assert "1 execution would be canceled" in cli(*cancel, "--dry-run").out
    assert stage.state(journey) == ("active", None)
    answer = cli(*cancel, "--yes", "--by", "jane", "--note", "asked for it", "--json")
    assert answer.json == {"canceled": [own]}
    assert stage.state(journey) == ("canceled", "operator")
    [log] = cli("executions", "show", own, "--json").json["logs"]
    assert log["metadata"] == {"by": "jane", "note": "asked for it"}
    answer = cli(*cancel, "--yes")
    assert (answer.code, "only active ones are canceled" in answer.err) == (1, True)
