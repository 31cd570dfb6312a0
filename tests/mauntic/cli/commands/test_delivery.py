"""`mauntic delivery` and `mauntic suppressions`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.mauntic.harness import Cli
from tests.workers.delivery.stage import Stage, org

ORG = str(org(1))


@pytest.fixture
def stage(database: str) -> Iterator[Stage]:
    stage = Stage(database)
    stage.organization()
    stage.contact()
    yield stage
    stage.db.close()


def test_the_status_counts_open_messages_and_names_pauses(cli: Cli, stage: Stage) -> None:
    config = stage.config(paused_until="infinity", paused_reason="credentials", failures=3)
    for number in range(3):
        stage.message(state="pending" if number else "held")
    stage.message(state="sent", finished_at=stage.outside.now)
    stage.db.execute(
        "update delivery.organization_settings set marketing_paused_at = now(),"
        " marketing_paused_reason = 'complaints'"
    )
    state = cli("delivery", "status", "--json").json
    found = {(row["channel"], row["state"]): row["messages"] for row in state["messages"]}
    assert found == {("email", "held"): 1, ("email", "pending"): 2}
    [provider] = state["providers"]
    assert (provider["id"], provider["paused_reason"]) == (str(config), "credentials")
    assert [row["marketing_paused_reason"] for row in state["paused"]] == ["complaints"]
    assert cli("delivery", "status", "--organization", str(org(2)), "--json").json == {
        "messages": [], "providers": [], "paused": [],
    }  # fmt: skip


def test_a_config_that_is_resumed_sends_again(cli: Cli, stage: Stage) -> None:
    config = stage.config(paused_until="infinity", paused_reason="credentials", failures=5)
    message = stage.message()
    stage.send(message)
    assert stage.state(message) == ("deferred", "no_provider")
    answer = cli("delivery", "resume", str(config))
    assert (answer.code, "is resumed" in answer.out) == (0, True)
    assert "was not paused" in cli("delivery", "resume", str(config)).out
    stage.outside.advance(minutes=16)
    stage.send(message)
    assert stage.state(message) == ("sent", None)


def test_an_organization_is_resumed(cli: Cli, stage: Stage) -> None:
    stage.db.execute("update delivery.organization_settings set marketing_paused_at = now()")
    answer = cli("delivery", "resume", "--organization", ORG, "--json")
    assert answer.json == {"resumed": True}
    assert cli("delivery", "resume", "--organization", ORG, "--json").json == {"resumed": False}


def test_what_to_resume_must_exist(cli: Cli, stage: Stage) -> None:
    assert "no provider config" in cli("delivery", "resume", str(uuid4())).err
    assert "Pass either" in cli("delivery", "resume").err


@pytest.fixture
def addresses(tmp_path: Path) -> Path:
    file = tmp_path / "addresses.txt"
    file.write_text("P1@People.example\n\n second@people.example \np1@people.example\n")
    return file


def test_a_suppressed_address_receives_nothing_until_a_person_removes_it(
    cli: Cli, stage: Stage, addresses: Path
) -> None:
    stage.config()
    of = ("--organization", ORG)
    assert cli("suppressions", "add", str(addresses), *of, "--dry-run", "--json").json == {
        "would_add": 2
    }
    assert cli("suppressions", "list", *of, "--json").json == []
    for _ in range(2):
        assert cli("suppressions", "add", str(addresses), *of, "--json").json == {"added": 2}
    listed = cli("suppressions", "list", *of, "--json").json
    assert {(row["address"], row["reason"], row["scope"]) for row in listed} == {
        ("p1@people.example", "manual", "all"),
        ("second@people.example", "manual", "all"),
    }
    message = stage.message()
    stage.send(message)
    assert stage.state(message) == ("skipped", "suppressed")
    note = ("--note", "asked for it by telephone", "--yes")
    assert cli("suppressions", "remove", str(addresses), *of, *note, "--json").json == {
        "removed": 2
    }
    message = stage.message()
    stage.send(message)
    assert stage.state(message) == ("sent", None)


def test_a_suppression_of_marketing_lets_receipts_through(
    cli: Cli, stage: Stage, addresses: Path
) -> None:
    stage.config()
    words = ("suppressions", "add", str(addresses), "--organization", ORG, "--scope", "marketing")
    assert cli(*words).code == 0
    transactional: dict[str, Any] = {"class": "transactional"}
    marketing, receipt = stage.message(), stage.message(**transactional)
    stage.send(marketing, receipt)
    assert (stage.state(marketing), stage.state(receipt)) == (
        ("skipped", "suppressed"), ("sent", None),
    )  # fmt: skip


def test_a_line_that_is_no_address_is_named_without_its_text(
    cli: Cli, stage: Stage, tmp_path: Path
) -> None:
    file = tmp_path / "wrong.txt"
    file.write_text("p1@people.example\nnot an address\n")
    answer = cli("suppressions", "add", str(file), "--organization", ORG)
    assert answer.code == 1
    assert "Line 2" in answer.err
    assert "not an address" not in answer.err
    assert stage.db.rows("select * from delivery.suppressions") == []
