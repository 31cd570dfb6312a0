"""`mauntic segments`, and the deep check of members."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from mauntic.checks import segments as checks
from tests.mauntic.harness import Cli
from tests.workers.journeys.segments.stage import Stage, opened

ANN = UUID(int=1_001)


@pytest.fixture
def stage(database: str) -> Iterator[Stage]:
    with opened(database) as stage:
        stage.contact(1, email="ann@x.example", stage="a", custom_fields={"seats": "12"})
        stage.contact(2, email="ben@x.example", stage="b")
        yield stage


@pytest.fixture
def seated(stage: Stage) -> UUID:
    seats = {"field": "seats", "operator": "gte", "value": 10}
    opened_ = {"event": "email_opened", "operator": "lt", "value": 1}
    segment = stage.segment({"operator": "and", "conditions": [seats, opened_]})
    stage.build()
    return segment


def test_the_list_begins_with_what_is_invalid(cli: Cli, stage: Stage, seated: UUID) -> None:
    broken = stage.segment({"operator": "and", "conditions": []})
    stage.build()
    stage.db.execute("update crm.contacts set custom_fields = '{\"seats\": 1}'")
    found = cli("segments", "list", "--json").json
    assert [(UUID(own["id"]), own["state"]) for own in found["segments"]] == [
        (broken, "invalid"), (seated, "ready"),
    ]  # fmt: skip
    assert {own["what"]: own["count"] for own in found["waiting"]} == {
        "changes to fold": 2, "contacts to evaluate": 0, "contacts that time concerns now": 0,
    }  # fmt: skip
    assert "must have at least one condition" in cli("segments", "show", broken).out


def test_a_membership_is_explained_condition_by_condition(
    cli: Cli, stage: Stage, seated: UUID
) -> None:
    found = cli("segments", "explain", seated, "ann@x.example", "--json").json
    assert (found["matches"], found["is_member"], found["entered_no"]) == (True, True, 1)
    assert [(own["condition"], own["value"], own["holds"]) for own in found["conditions"]] == [
        ("custom.seats gte 10", 12, True), ("not: email_opened at least 1", 0, True),
    ]  # fmt: skip
    stage.event(ANN, "email_opened")
    answer = cli("segments", "explain", seated, ANN).out
    assert "does not satisfy the criteria; stored: a member" in answer
    assert "A change of the contact waits" in answer


def test_what_is_not_there_is_refused_with_a_remedy(cli: Cli, stage: Stage, seated: UUID) -> None:
    missing = cli("segments", "show", uuid4())
    assert missing.code == 1
    assert "`mauntic segments list`" in missing.err
    stage.contact(3, organization_id=UUID(int=2))
    other = cli("segments", "explain", seated, UUID(int=1_003))
    assert "belongs to another organization" in other.err


def test_a_rebuild_corrects_what_the_deep_check_finds(cli: Cli, stage: Stage, seated: UUID) -> None:
    assert list(checks.deep_problems(stage.db)) == []
    with stage.db.transaction():
        stage.db.execute("set local mauntic.numbers_members = 'on'")
        stage.db.execute("update crm.segment_contacts set contact_id = :id", id=UUID(int=1_002))
        stage.db.execute("update crm.segments set contact_count = 9")
    found = [problem.problem for problem in checks.deep_problems(stage.db)]
    remedy = f": `mauntic segments rebuild {seated}`"
    assert found == [
        f"2 memberships differ from the criteria{remedy}",
        f"contact_count is 9, there are 1 members{remedy}",
    ]
    assert "would be built" in cli("segments", "rebuild", seated, "--dry-run").out
    assert len(list(checks.deep_problems(stage.db))) == 2
    assert cli("segments", "rebuild", seated).code == 0
    stage.build()
    assert (list(checks.deep_problems(stage.db)), stage.members(seated)) == ([], {1})


def test_the_members_of_a_static_segment_are_counted(cli: Cli, stage: Stage) -> None:
    chosen = stage.segment()
    stage.db.execute(
        "insert into crm.segment_contacts (segment_id, contact_id) values (:segment, :contact)",
        segment=chosen, contact=ANN,
    )  # fmt: skip
    stage.hour()
    stage.db.execute("update crm.segments set contact_count = 7")
    assert cli("segments", "rebuild", chosen).code == 0
    assert stage.state(chosen)["contact_count"] == 1
    assert "stored: a member" in cli("segments", "explain", chosen, ANN).out
