"""`mauntic journeys`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from mauntic.checks import journeys as checks
from tests.mauntic.harness import Cli
from tests.workers.journeys.stage import Stage, org


@pytest.fixture
def stage(database: str) -> Iterator[Stage]:
    found = Stage(database)
    found.outside.now = datetime.now(UTC).replace(microsecond=0)
    with closing(found):
        yield found


REST = {"rest": ("delay", {"duration": 1, "unit": "days"})}


def test_the_list_has_executions_and_problems(cli: Cli, stage: Stage) -> None:
    stage.contact()
    journey = stage.journey(REST, [])
    stage.trigger(journey, "scheduled", cron="0 0 * * *")
    stage.enroll(journey, 1)
    unpublished = stage.draft(REST, [])
    stage.draft(REST, [], status="draft")
    rows = {row["id"]: row for row in cli("journeys", "list", "--json").json}
    assert len(rows) == 3
    own = rows[str(journey.id)]
    assert (own["version"], own["active"], own["problem"]) == (1, 1, "scheduled: not supported")
    assert rows[str(unpublished.id)]["problem"] == "no version is published"
    assert len(cli("journeys", "list", "--status", "draft", "--json").json) == 1
    assert cli("journeys", "list", "--organization", str(org(2)), "--json").json == []
    answer = cli("journeys", "list", "--status", "activ")
    assert (answer.code, "did you mean active?" in answer.err) == (1, True)


def test_a_journey_is_shown_with_where_contacts_stand(cli: Cli, stage: Stage) -> None:
    for number in (1, 2):
        stage.contact(number)
    journey = stage.journey(REST, [])
    stage.enroll(journey, 1, 2, 3)
    stage.deliver()
    found = cli("journeys", "show", str(journey.id), "--json").json
    assert [(own["type"], own["entry"], own["active"]) for own in found["steps"]] == [
        ("delay", True, 2)
    ]
    assert [(own["outcome"], own["reason"], own["contacts"]) for own in found["entries"]] == [
        ("entered", None, 2), ("refused", "contact_missing", 1),
    ]  # fmt: skip
    assert "steps of the published version" in cli("journeys", "show", str(journey.id)).out
    answer = cli("journeys", "show", str(org(9)))
    assert (answer.code, "There is no journey" in answer.err) == (1, True)


def test_a_version_is_published_after_a_dry_run(cli: Cli, stage: Stage) -> None:
    journey = stage.draft(REST, [], status="draft")
    publish = ("journeys", "publish", str(journey.id))
    assert "Version 1 (1 step) would be published" in cli(*publish, "--dry-run").out
    assert cli(*publish, "--version", "7", "--yes").code == 1
    assert "The journey is draft" in cli(*publish, "--yes").out
    [row] = stage.db.rows("select active_version_id from journey.journeys")
    assert row["active_version_id"] == journey.version_id
    answer = cli(*publish, "--yes")
    assert (answer.code, "is published already" in answer.err) == (1, True)


def test_what_refuses_a_version_is_named(cli: Cli, stage: Stage) -> None:
    journey = stage.draft({"a": ("webhook", {})}, [])
    answer = cli("journeys", "publish", str(journey.id), "--dry-run")
    assert (answer.code, 'the type "webhook" is not known' in answer.err) == (1, True)


def test_a_journey_is_paused_and_resumed(cli: Cli, stage: Stage) -> None:
    journey = stage.journey(REST, [])
    assert "is paused" in cli("journeys", "pause", str(journey.id)).out
    answer = cli("journeys", "pause", str(journey.id))
    assert (answer.code, "is paused, not active" in answer.err) == (1, True)
    assert cli("journeys", "resume", str(journey.id), "--json").json["status"] == "active"


def test_the_check_names_what_has_no_effect(stage: Stage) -> None:
    stage.draft(REST, [])
    journey = stage.journey(REST, [], settings={"goal": {"event": "bought"}})
    stage.trigger(journey, "scheduled", cron="0 0 * * *")
    stage.journey(REST, [], status="paused", settings={"goal": {"event": "bought"}})
    found = sorted(problem.problem for problem in checks.problems(stage.db))
    assert [text[:34] for text in found] == [
        "it is active and no version is pub",
        "its settings have a goal, which ha",
        "the trigger scheduled: not support",
    ]
