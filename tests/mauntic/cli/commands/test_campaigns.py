"""`mauntic campaigns`, and what `mauntic check` says about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from delivery.queues import JOBS
from mauntic.checks import campaigns as checks
from mauntic.cli.commands import campaigns as commands
from tests.mauntic.harness import Cli
from tests.workers.delivery.campaigns.scene import Scene
from tests.workers.delivery.stage import Stage, org


@pytest.fixture
def scene(database: str) -> Iterator[Scene]:
    """Contacts 1 to 4: two with one address, one without."""
    stage = Stage(database)
    stage.outside.now = datetime.now(UTC).replace(microsecond=0)
    scene = Scene(stage)
    for number, email in enumerate(("a@x.example", "A@x.example", "b@x.example", None), 1):
        stage.contact(number, email=email)
    yield scene
    stage.close()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What the commands send to queues."""
    found: list[tuple[str, Any]] = []

    class Queues:
        def send(self, queue: str, bodies: list[Any]) -> None:
            found.extend((queue, body) for body in bodies)

    @contextmanager
    def open_system(*, remote: bool) -> Iterator[Queues]:
        yield Queues()

    monkeypatch.setattr(commands, "open_system", open_system)
    return found


def ids_of(cli: Cli, *words: str) -> list[str]:
    answer = cli("campaigns", "list", *words, "--json")
    assert answer.code == 0, answer.err
    return [row["id"] for row in answer.json]


def test_the_list_has_what_moves(cli: Cli, scene: Scene) -> None:
    segment = scene.segment(1)
    by_status = {
        status: str(scene.campaign(segment, status=status))
        for status in ("draft", "scheduled", "sending", "sent", "paused", "canceled")
    }
    wrong = str(scene.campaign(None, problem="no_segment: choose one"))
    moving = {by_status[status] for status in ("scheduled", "sending", "paused")}
    assert set(ids_of(cli)) == moving
    assert ids_of(cli)[0] == by_status["sending"]
    assert ids_of(cli, "--problem") == [wrong]
    assert ids_of(cli, "--status", "sent") == [by_status["sent"]]
    assert ids_of(cli, "--organization", str(org(2))) == []
    assert len(ids_of(cli, "--limit", "2")) == 2
    assert "no_segment" in cli("campaigns", "list", "--problem").out
    answer = cli("campaigns", "list", "--status", "sendin")
    assert (answer.code, "did you mean sending?" in answer.err) == (1, True)


def test_a_campaign_is_shown_with_its_progress(cli: Cli, scene: Scene) -> None:
    campaign = scene.campaign(scene.segment(1, 2, 3, 4))
    assert "it has not started" in cli("campaigns", "show", campaign).out
    scene.send(campaign)
    [run] = cli("campaigns", "show", campaign, "--json").json["runs"]
    assert (run["status"], run["parts_done"], run["parts"]) == ("queued", 0, 1)
    scene.work()
    scene.sweep()
    answer = cli("campaigns", "show", campaign, "--json").json
    [run] = answer["runs"]
    assert (run["run"], run["parts_done"], run["recipients"], run["open"]) == (1, 1, 4, 3)
    assert {(row["state"], row["reason"]): row["messages"] for row in answer["messages"]} == {
        ("queued", None): 3, ("skipped", "duplicate_address"): 1,
    }  # fmt: skip
    assert answer["campaign"]["recipient_count"] == 4
    text = cli("campaigns", "show", campaign).out
    assert "Campaign Spring (email, run 1)" in text
    assert "duplicate_address" in text
    answer = cli("campaigns", "show", uuid4())
    assert (answer.code, "campaigns list" in answer.err) == (1, True)


def test_a_dry_run_says_who_would_get_it_and_what_refuses_it(
    cli: Cli, scene: Scene, sent: list[Any]
) -> None:
    segment = scene.segment(1, 2, 3, 4, 9)
    campaign = scene.campaign(segment)
    assert cli("campaigns", "start", campaign, "--dry-run", "--json").json == {
        "would_start": str(campaign), "refused": None, "waits_for_segment": False, "members": 5,
        "addresses": 2, "unknown_contacts": 1, "without_address": 1,
    }  # fmt: skip
    assert "would be sent to 2 recipients" in cli("campaigns", "start", campaign, "--dry-run").out
    scene.stage.db.execute("update delivery.organization_settings set postal_address = null")
    plan = cli("campaigns", "start", campaign, "--dry-run").out
    assert "would be refused: no_postal_address: set `postal_address`" in " ".join(plan.split())
    answer = cli("campaigns", "start", campaign, "--yes")
    assert (answer.code, "no_postal_address" in answer.err) == (1, True)
    assert (sent, scene.runs(campaign)) == ([], [])
    assert scene.row(campaign)["problem"] is None


def test_a_segment_that_is_built_delays_the_start(cli: Cli, scene: Scene) -> None:
    campaign = scene.campaign(scene.segment(1, type="dynamic"))
    assert "its segment is being built" in cli("campaigns", "start", campaign, "--dry-run").out


def test_a_campaign_is_started_by_hand(cli: Cli, scene: Scene, sent: list[Any]) -> None:
    campaign = scene.campaign(scene.segment(1))
    answer = cli("campaigns", "start", campaign)
    assert (answer.code, "--yes" in answer.err, sent) == (1, True, [])
    assert cli("campaigns", "start", campaign, "--yes", "--json").json == {"started": str(campaign)}
    [(queue, body)] = sent
    assert queue == JOBS.name
    assert body["type"] == "delivery.send-campaign"
    scene.send(UUID(body["data"]["campaignId"]))
    answer = cli("campaigns", "start", campaign, "--yes")
    assert (answer.code, "already_sending" in answer.err) == (1, True)
    scene.set(campaign, status="sent")
    answer = cli("campaigns", "start", campaign, "--yes")
    assert (answer.code, "increment its `run`" in answer.err) == (1, True)


def test_a_campaign_is_paused_resumed_and_canceled(cli: Cli, scene: Scene) -> None:
    campaign = scene.campaign(scene.segment(1, 2, 3))
    scene.fan_out(campaign)
    assert cli("campaigns", "pause", campaign, "--json").json["status"] == "paused"
    answer = cli("campaigns", "pause", campaign)
    assert (answer.code, "is paused, not sending" in answer.err) == (1, True)
    assert cli("campaigns", "resume", campaign, "--json").json["status"] == "sending"
    assert cli("campaigns", "resume", campaign).code == 1
    assert cli("campaigns", "cancel", campaign, "--dry-run", "--json").json == {
        "would_cancel": str(campaign), "waiting": 2, "in_call": 0
    }  # fmt: skip
    assert "2 messages would not be sent" in cli("campaigns", "cancel", campaign, "--dry-run").out
    assert scene.row(campaign)["status"] == "sending"
    assert cli("campaigns", "cancel", campaign).code == 1  # without an answer
    assert cli("campaigns", "cancel", campaign, "--yes").code == 0
    scene.sweep()
    assert {m["reason"] for m in scene.messages(campaign)} == {
        "campaign_canceled", "duplicate_address"
    }  # fmt: skip
    assert cli("campaigns", "cancel", campaign, "--yes").code == 1


@pytest.mark.parametrize(
    ("planned", "status"), [(None, "draft"), (timedelta(days=1), "scheduled")]
)  # fmt: skip
def test_a_resumed_campaign_without_a_run_is_not_sending(
    planned: timedelta | None, status: str, cli: Cli, scene: Scene
) -> None:
    at = scene.stage.outside.now + planned if planned else None
    campaign = scene.campaign(scene.segment(1), status="paused", scheduled_at=at)
    assert cli("campaigns", "resume", campaign, "--json").json["status"] == status


def test_check_names_campaigns_that_cannot_start_or_end(scene: Scene) -> None:
    segment = scene.segment(1)
    wrong = scene.campaign(None)
    scene.send(wrong)
    lost = scene.campaign(segment, status="sending")  # of the platform's old sender
    fine = scene.campaign(segment)
    scene.fan_out(fine)
    scene.campaign(segment, status="sent", problem="of old")
    found = {problem.subject: problem.problem for problem in checks.problems(scene.stage.db)}
    assert found.keys() == {str(wrong), str(lost)}
    assert found[str(wrong)].startswith("no_segment: ")
    assert "without a run" in found[str(lost)]
