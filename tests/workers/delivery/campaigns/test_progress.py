"""Pause, resume, cancel, the end of a run, and its figures."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from delivery.domain.verdict import Verdict
from delivery.store import campaign_counts, campaigns
from tests.workers.delivery.campaigns.scene import Scene
from tests.workers.delivery.stage import NOW, org
from tests.workers.delivery.wrapped_database import Wrapped


@pytest.fixture
def sending(scene: Scene) -> Scene:
    for number in range(1, 5):
        scene.stage.contact(number)
    return scene


def states(scene: Scene, campaign: UUID) -> list[tuple[str, str | None]]:
    return [(m["state"], m["reason"]) for m in scene.messages(campaign)]


def references(scene: Scene) -> list[dict[str, Any]]:
    return scene.stage.outside.producers["SEND_EMAIL"].sent


def test_a_pause_before_the_parts_are_done_holds_every_message(sending: Scene) -> None:
    campaign = sending.campaign(sending.segment(1, 2))
    sending.send(campaign)
    sending.set(campaign, status="paused")
    sending.work()
    sending.deliver()
    sending.stage.consume(references(sending))
    assert states(sending, campaign) == [("deferred", "campaign_paused")] * 2
    sending.stage.later(hours=100)  # longer than the messages would live
    sending.sweep()
    assert sending.row(campaign)["status"] == "paused"
    sending.set(campaign, status="sending")
    sending.sweep()
    sending.deliver()
    sending.sweep()
    assert states(sending, campaign) == [("sent", None)] * 2
    assert sending.row(campaign)["status"] == "sent"


def test_a_pause_between_claim_and_call_stops_the_call(sending: Scene) -> None:
    campaign = sending.campaign(sending.segment(1, 2))
    sending.fan_out(campaign)
    found = sending.stage.claim(*(m["id"] for m in sending.messages(campaign)))
    sending.set(campaign, status="paused")
    assert sending.stage.begin(found).messages == []
    assert states(sending, campaign) == [("deferred", "campaign_paused")] * 2


def test_a_pause_after_the_last_message_ends_with_it(sending: Scene) -> None:
    """The run has ended; the campaign waits for its resumption."""
    campaign = sending.campaign(sending.segment(1))
    sending.fan_out(campaign)
    sending.stage.consume(references(sending))
    sending.set(campaign, status="paused")
    sending.sweep()
    assert sending.runs(campaign)[0]["status"] == "sent"
    assert sending.row(campaign)["status"] == "paused"
    sending.set(campaign, status="sending")
    sending.sweep()
    assert sending.row(campaign)["status"] == "sent"


def test_a_cancel_before_the_parts_are_done_inserts_nothing_more(
    sending: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaigns, "MEMBERS_MAX", 2)
    campaign = sending.campaign(sending.segment(1, 2, 3, 4))
    sending.send(campaign)
    sending.send(campaign, 1)
    sending.set(campaign, status="canceled")
    sending.work()
    sending.sweep()
    sending.sweep()
    assert states(sending, campaign) == [("skipped", "campaign_canceled")] * 2
    [run] = sending.runs(campaign)
    assert (run["status"], run["recipient_count"], run["completed_at"]) == ("sent", 2, NOW)
    assert (sending.row(campaign)["status"], sending.row(campaign)["completed_at"]) == (
        "canceled", None
    )  # fmt: skip
    sending.stage.later(hours=1)
    sending.sweep()
    assert sending.queued == []


def test_a_cancel_stops_a_claim_a_call_and_what_is_queued(sending: Scene) -> None:
    campaign = sending.campaign(sending.segment(1, 2, 3, 4))
    sending.fan_out(campaign)
    called, claimed, queued, _ = (m["id"] for m in sending.messages(campaign))
    begun = sending.stage.begin(sending.stage.claim(called))
    found = sending.stage.claim(claimed)
    sending.set(campaign, status="canceled")
    assert sending.stage.begin(found).messages == []
    assert sending.stage.claim(queued).claimed == []
    sending.sweep()
    sending.stage.settle(begun, Verdict("accepted"))  # its call had begun
    sending.sweep()
    assert states(sending, campaign) == [("sent", None)] + [("skipped", "campaign_canceled")] * 3
    assert sending.runs(campaign)[0]["status"] == "sent"


@pytest.mark.parametrize(
    ("verdicts", "status", "sent", "failed"),
    [
        (("accepted", "accepted"), "sent", 2, 0),
        (("accepted", "refused"), "partial", 1, 1),
        (("refused", "refused"), "failed", 0, 2),
        (("suppress", "suppress"), "sent", 0, 0),
        (("unknown", "refused"), "partial", 0, 1),
        (("unknown", "accepted"), "partial", 1, 0),
    ],
)
def test_a_run_ends_when_every_message_is_final(
    verdicts: tuple[str, str], status: str, sent: int, failed: int, sending: Scene
) -> None:
    campaign = sending.campaign(sending.segment(1, 2))
    sending.fan_out(campaign)
    for message, kind in zip(sending.messages(campaign), verdicts, strict=True):
        sending.sweep()
        assert sending.row(campaign)["status"] == "sending"
        verdict = Verdict(kind, suppression="bounce" if kind == "suppress" else None)  # type: ignore[arg-type]
        sending.stage.settle(sending.stage.begin(sending.stage.claim(message["id"])), verdict)
    sending.sweep()
    if "unknown" in verdicts:
        assert sending.row(campaign)["status"] == "sending"
        sending.stage.later(hours=49)
        sending.sweep()
    [run] = sending.runs(campaign)
    assert (run["status"], run["sent_count"], run["failed_count"]) == (status, sent, failed)
    assert run["counts"]["uncertain"] == verdicts.count("unknown")
    assert sending.row(campaign)["status"] == "sent"
    assert [event["status"] for event in sending.events("campaign.finished")] == [status]


def test_a_run_does_not_end_while_a_part_is_open(
    sending: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaigns, "MEMBERS_MAX", 2)
    campaign = sending.campaign(sending.segment(1, 2, 3))
    sending.send(campaign)
    sending.send(campaign, 1)
    sending.stage.consume(references(sending))
    assert states(sending, campaign) == [("sent", None)] * 2
    sending.sweep()
    assert sending.row(campaign)["status"] == "sending"
    sending.work()
    sending.sweep()
    assert sending.row(campaign)["status"] == "sending"  # its last message waits
    sending.stage.consume(references(sending))
    sending.sweep()
    assert (sending.row(campaign)["status"], sending.row(campaign)["sent_count"]) == ("sent", 3)


def test_a_later_resend_does_not_open_the_campaign(sending: Scene) -> None:
    campaign = sending.campaign(sending.segment(1))
    sending.fan_out(campaign)
    [message] = sending.messages(campaign)
    begun = sending.stage.begin(sending.stage.claim(message["id"]))
    sending.stage.settle(begun, Verdict("unknown"))
    sending.stage.later(hours=49)
    sending.sweep()
    assert sending.row(campaign)["sent_count"] == 0
    sending.stage.db.execute("update delivery.messages set state = 'pending', finished_at = null")
    sending.sweep()
    assert sending.row(campaign)["status"] == "sent"
    sending.stage.settle(
        sending.stage.begin(sending.stage.claim(message["id"])), Verdict("accepted")
    )
    sending.sweep()
    assert (sending.row(campaign)["status"], sending.row(campaign)["sent_count"]) == ("sent", 1)


def test_the_figures_are_those_of_an_independent_count(sending: Scene) -> None:
    """Messages in every state with events at random, in three campaigns of two runs each."""
    chance = random.Random(7)
    expected: dict[UUID, dict[str, int]] = {}
    for _ in range(3):
        campaign = sending.campaign(sending.segment(1))
        expected[campaign] = dict.fromkeys(("recipient", "sent", *TIMES), 0)
        for run in (1, 2):
            sending.set(campaign, run=run, status="draft")
            sending.fan_out(campaign)
            job = sending.runs(campaign)[run - 1]["id"]
            for _ in range(chance.randint(0, 12)):
                columns = random_message(chance)
                sending.stage.message(2, job_id=job, campaign_id=campaign, **columns)
                if columns.get("parent_id"):
                    continue
                expected[campaign]["recipient"] += 1
                expected[campaign]["sent"] += columns["state"] == "sent"
                for name in TIMES:
                    expected[campaign][name] += columns[f"{name}_at"] is not None
            expected[campaign]["recipient"] += 1  # contact 1
    sending.sweep()
    for campaign, figures in expected.items():
        row = sending.row(campaign)
        assert {name: row[f"{name}_count"] for name in figures} == figures
        rates = [row[name] and float(row[name]) for name in ("open_rate", "click_rate")]
        if figures["delivered"]:
            assert rates == [
                pytest.approx(figures[name] / figures["delivered"], abs=1e-4)
                for name in ("opened", "clicked")
            ]
        else:
            assert rates == [None, None]
        runs = sending.runs(campaign)
        assert sum(run["recipient_count"] for run in runs) == figures["recipient"]
        assert sum(run["sent_count"] for run in runs) == figures["sent"]


TIMES = ("delivered", "opened", "clicked", "bounced", "complained", "unsubscribed")


def random_message(chance: random.Random) -> dict[str, Any]:
    state = chance.choice(["sent", "sent", "failed", "skipped", "uncertain", "pending"])
    times = {f"{name}_at": NOW if chance.random() < 0.4 else None for name in TIMES}
    return {
        "state": state,
        "finished_at": None if state == "pending" else NOW,
        "parent_id": uuid4() if chance.random() < 0.2 else None,
        **times,
    }


def test_figures_follow_events_after_the_end(sending: Scene) -> None:
    campaign = sending.campaign(sending.segment(1))
    sending.fan_out(campaign)
    sending.stage.consume(references(sending))
    sending.sweep()
    row = sending.row(campaign)
    assert (row["opened_count"], row["last_event_at"]) == (0, NOW)
    for days in (1, 20):
        sending.stage.later(days=days)
        now = sending.stage.outside.now
        sending.stage.db.execute("update delivery.messages set opened_at = :now", now=NOW)
        sending.stage.db.execute(
            "insert into delivery.delivery_events (job_id, organization_id, channel, event_type,"
            " event_id, occurred_at, created_at)"
            " select id, organization_id, 'email', 'opened', :id, :at, :now"
            " from delivery.delivery_jobs",
            id=str(uuid4()), at=now - timedelta(minutes=2), now=now,
        )  # fmt: skip
        sending.stage.later(minutes=1)
        sending.sweep()
        row = sending.row(campaign)
        assert (row["opened_count"], row["last_event_at"]) == (1, now - timedelta(minutes=2))


def test_nothing_is_counted_while_nothing_moves(sending: Scene) -> None:
    campaign = sending.campaign(sending.segment(1))
    sending.fan_out(campaign)
    sending.stage.consume(references(sending))
    sending.sweep()
    sending.stage.later(minutes=20)
    sending.sweep()  # what ended a moment before a count is counted by the next one too
    names = ["counted_until", "moving_runs"]
    for _ in range(2):
        sending.stage.later(minutes=20)
        db = Wrapped(sending.stage.worker)
        campaign_counts.set_counts(db, sending.stage.outside.now)
        assert [name for name in db.names if name != "set_counted_until"] == names
    before = sending.stage.db.rows("select xmin::text from campaign.campaigns")
    assert campaign_counts.set_counts(sending.stage.worker, NOW) == 0
    assert sending.stage.db.rows("select xmin::text from campaign.campaigns") == before


def test_large_runs_are_counted_in_portions(
    sending: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_counts, "RECIPIENTS_MAX", 4)
    found = [sending.campaign(sending.segment(1, 2)) for _ in range(3)]
    for campaign in found:
        sending.fan_out(campaign)
    db = Wrapped(sending.stage.worker)
    assert campaign_counts.set_counts(db, NOW) == 3
    assert db.names.count("count_runs") == 2
    assert [sending.runs(own)[0]["counts"]["open"] for own in found] == [2, 2, 2]


def test_campaigns_without_a_run_here_keep_their_figures(sending: Scene) -> None:
    """The platform's own: a job without frozen content, and a campaign without any."""
    campaign = sending.campaign(None, status="sending", recipient_count=7, sent_count=5)
    sending.stage.db.execute(
        "insert into delivery.delivery_jobs (organization_id, channel, campaign_id)"
        " values (:org, 'email', :id)",
        org=org(), id=campaign,
    )  # fmt: skip
    sending.sweep()
    row = sending.row(campaign)
    assert (row["status"], row["recipient_count"], row["sent_count"]) == ("sending", 7, 5)
    assert sending.runs(campaign)[0]["completed_at"] is None
