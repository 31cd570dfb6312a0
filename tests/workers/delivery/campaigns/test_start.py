"""A campaign from its start to its end, and a second run."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from delivery.campaigns.start import start
from delivery.store import campaigns
from shared.errors import QueueUnavailable, SubjectChanged
from shared.outcome import Dead, Done
from shared.ports import Database
from tests.workers.delivery.campaigns.scene import Scene
from tests.workers.delivery.stage import NOW, org, person
from tests.workers.delivery.wrapped_database import Wrapped


@pytest.fixture
def people(scene: Scene) -> Scene:
    """Contacts 1 to 4; the address of 3 is that of 1 in another spelling."""
    for number, email in enumerate(
        ("a@x.example", "b@x.example", " A@X.example", "c@x.example"), 1
    ):
        scene.stage.contact(number, email=email, first_name=f"P{number}")
    return scene


def test_a_campaign_is_sent_to_each_address_of_its_segment(people: Scene) -> None:
    campaign = people.campaign(people.segment(1, 2, 3, 4), settings={"from": "x@acme.example"})
    assert people.send(campaign) == Done(organization_id=str(org()))
    row = people.row(campaign)
    assert (row["status"], row["started_at"], row["problem"]) == ("sending", NOW, None)
    [queued] = people.queued
    assert queued["data"] == {
        "organizationId": str(org()), "campaignId": str(campaign), "part": 1
    }  # fmt: skip
    people.work()
    assert [(m["contact_id"], m["state"], m["reason"]) for m in people.messages(campaign)] == [
        (person(1), "queued", None), (person(2), "queued", None),
        (person(3), "skipped", "duplicate_address"), (person(4), "queued", None),
    ]  # fmt: skip
    [run] = people.runs(campaign)
    assert (run["status"], run["recipient_count"]) == ("sending", 4)
    assert people.row(campaign)["recipient_count"] == 4
    references = people.stage.outside.producers["SEND_EMAIL"].sent
    people.stage.consume(references)
    assert {m["state"] for m in people.messages(campaign)} == {"sent", "skipped"}
    assert sorted(own["headers"]["Subject"] for own in people.captured) == [
        "Hi P1",
        "Hi P2",
        "Hi P4",
    ]
    people.sweep()
    row, [run] = people.row(campaign), people.runs(campaign)
    assert (row["status"], row["completed_at"], row["sent_count"]) == ("sent", NOW, 3)
    assert (run["status"], run["sent_count"], run["failed_count"]) == ("sent", 3, 0)
    assert [e["status"] for e in people.events("campaign.finished")] == ["sent"]


def test_an_unknown_campaign_is_a_dead_letter(people: Scene) -> None:
    campaign = people.campaign(people.segment(1))
    for outcome in (
        people.send(uuid4()),
        people.send(uuid4(), 1),
        people.send(campaign, organization=2),
        people.send(campaign, 1, organization=2),
    ):
        assert isinstance(outcome, Dead)
        assert outcome.reason == "unknown_campaign"
    assert people.send(campaign, 7) == Done()  # no run has such a part


def test_the_content_is_that_of_the_start(people: Scene) -> None:
    campaign = people.campaign(
        people.segment(1, 2), subject="For {{campaign.name}}", settings={"from": "x@acme.example"}
    )
    people.fan_out(campaign)
    people.stage.db.execute("update content.templates set body_text = 'later', is_active = false")
    people.set(campaign, subject="later", name="later", settings='{"from": "y@acme.example"}')
    people.set(campaign, template_id=uuid4(), segment_id=uuid4())
    people.stage.consume(people.stage.outside.producers["SEND_EMAIL"].sent)
    assert [own["headers"]["Subject"] for own in people.captured] == ["For Spring"] * 2
    assert {own["headers"]["From"] for own in people.captured} == {"x@acme.example"}
    assert not any("later" in own["text"] for own in people.captured)


def test_an_empty_segment_ends_at_once(people: Scene) -> None:
    campaign = people.campaign(people.segment())
    people.fan_out(campaign)
    people.sweep()
    row, [run] = people.row(campaign), people.runs(campaign)
    assert (row["status"], row["recipient_count"], run["status"]) == ("sent", 0, "sent")


def test_a_lost_message_of_a_part_is_sent_again(people: Scene) -> None:
    campaign = people.campaign(people.segment(1, 2))
    people.send(campaign)
    people.queued.clear()
    people.sweep()
    assert people.queued == []
    people.stage.later(minutes=16)
    people.sweep()
    people.work()
    assert len(people.messages(campaign)) == 2


def test_a_start_whose_parts_were_not_sent_sends_them_at_its_next_try(people: Scene) -> None:
    campaign = people.campaign(people.segment(1))
    people.stage.outside.queue.broken = ConnectionError()
    with pytest.raises(QueueUnavailable):
        people.send(campaign)
    people.stage.outside.queue.broken = None
    assert people.row(campaign)["status"] == "sending"
    people.send(campaign)
    people.work()
    assert len(people.messages(campaign)) == 1
    assert len(people.runs(campaign)) == 1


def test_a_second_run_leaves_the_first_alone(people: Scene) -> None:
    segment = people.segment(1, 2)
    campaign = people.campaign(segment)
    people.fan_out(campaign)
    first = people.runs(campaign)[0]["id"]
    people.stage.later(minutes=1)
    people.enter(segment, [4])
    people.set(campaign, run=2, status="draft")
    people.fan_out(campaign)
    by_run = {run["id"]: run for run in people.runs(campaign)}
    assert [run["recipient_count"] for run in by_run.values()] == [2, 3]
    assert len({m["idempotency_key"] for m in people.messages(campaign)}) == 5
    people.deliver()
    people.stage.consume(people.stage.outside.producers["SEND_EMAIL"].sent)
    people.sweep()
    assert {run["status"] for run in people.runs(campaign)} == {"sent"}
    row = people.row(campaign)
    assert (row["status"], row["recipient_count"], row["sent_count"]) == ("sent", 5, 5)
    assert {m["job_id"] == first for m in people.messages(campaign)} == {True, False}


def by_run_and_state(scene: Scene, campaign: UUID) -> Counter[tuple[str, str, str | None]]:
    return Counter(
        (message["idempotency_key"].split(":")[2], message["state"], message["reason"])
        for message in scene.messages(campaign)
    )


@pytest.mark.parametrize("is_swept", [True, False])
def test_a_canceled_run_stays_canceled_when_the_next_begins(people: Scene, is_swept: bool) -> None:
    """Who stops a wrong mailing and sends it again at once sends it once."""
    campaign = people.campaign(people.segment(1, 2))
    people.fan_out(campaign)
    people.set(campaign, status="canceled")
    people.set(campaign, run=2, status="draft")
    people.stage.later(minutes=1)
    people.fan_out(campaign)
    if is_swept:
        people.sweep()
        assert by_run_and_state(people, campaign)["1", "skipped", "campaign_canceled"] == 2
    people.deliver()
    people.stage.consume(people.stage.outside.producers["SEND_EMAIL"].sent)
    assert by_run_and_state(people, campaign) == {
        ("1", "skipped", "campaign_canceled"): 2,
        ("2", "sent", None): 2,
    }


def test_the_parts_of_a_canceled_run_insert_nothing_while_the_next_runs(
    people: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaigns, "MEMBERS_MAX", 1)
    campaign = people.campaign(people.segment(1, 2))
    people.send(campaign)
    people.set(campaign, status="canceled")
    people.set(campaign, run=2, status="draft")
    people.stage.later(minutes=1)
    people.send(campaign)
    for _ in range(2):
        people.stage.later(minutes=16)
        people.sweep()
        people.work()
    runs = [message["idempotency_key"].split(":")[2] for message in people.messages(campaign)]
    assert runs == ["2", "2"]


def test_an_older_run_is_fanned_out_to_its_end(
    people: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run starts while parts of the first are open."""
    monkeypatch.setattr(campaigns, "MEMBERS_MAX", 1)
    campaign = people.campaign(people.segment(1, 2))
    people.send(campaign)
    people.send(campaign, 1)
    people.set(campaign, run=2)
    people.stage.later(minutes=1)
    people.send(campaign)
    people.queued.clear()
    people.send(campaign, 1)  # of the second run
    people.send(campaign, 2)  # of the first
    runs = sorted(m["idempotency_key"].split(":")[2] for m in people.messages(campaign))
    assert runs == ["1", "1", "2"]
    people.stage.later(minutes=16)
    people.sweep()
    people.work()
    assert [run["recipient_count"] for run in people.runs(campaign)] == [2, 2]


def test_a_run_that_was_sent_is_not_sent_again(people: Scene) -> None:
    campaign = people.campaign(people.segment(1))
    people.fan_out(campaign)
    people.set(campaign, status="draft")
    people.fan_out(campaign)
    assert len(people.messages(campaign)) == 1
    assert people.row(campaign)["problem"].startswith("already_run: ")


@pytest.mark.parametrize("status", ["sent", "paused", "canceled"])
def test_other_states_do_not_start(status: str, people: Scene) -> None:
    campaign = people.campaign(people.segment(1), status=status)
    assert people.send(campaign) == Done(organization_id=str(org()))
    assert (people.runs(campaign), people.queued) == ([], [])
    assert people.row(campaign)["status"] == status


def test_a_scheduled_campaign_starts_by_the_sweep(people: Scene) -> None:
    campaign = people.campaign(
        people.segment(1), status="scheduled", scheduled_at=NOW + timedelta(minutes=5)
    )
    people.sweep()
    assert people.queued == []
    people.stage.later(minutes=5)
    people.sweep()
    people.work()
    assert len(people.messages(campaign)) == 1


@pytest.mark.parametrize("problem", [None, "no_template: choose one"])
def test_a_campaign_of_long_ago_is_not_started_by_itself(
    problem: str | None, people: Scene
) -> None:
    """An earlier problem does not hide it: its remedy alone starts nothing."""
    campaign = people.campaign(
        people.segment(1),
        status="scheduled",
        scheduled_at=NOW - timedelta(hours=72),
        problem=problem,
    )
    people.sweep()
    people.sweep()
    assert people.queued == []
    assert people.row(campaign)["problem"].startswith("late: ")
    assert [e["reason"] for e in people.events("campaign.refused")] == ["late"]
    people.fan_out(campaign)  # by hand
    assert people.row(campaign)["problem"] is None
    assert len(people.messages(campaign)) == 1


def test_two_messages_start_one_run(people: Scene) -> None:
    campaign = people.campaign(people.segment(1, 2))
    errors: list[BaseException] = []

    def begin() -> None:
        ports = people.stage.ports()
        try:
            start((org(), campaign), ports)
        except BaseException as error:
            errors.append(error)
        finally:
            ports.db.close()

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(people.runs(campaign)) == 1
    assert len(people.events("campaign.started")) == 1
    people.fan_out(campaign)
    assert len(people.messages(campaign)) == 2


@pytest.mark.parametrize("status", ["draft", "scheduled"])
def test_a_refused_campaign_keeps_its_state_and_is_reported_once(
    status: str, people: Scene
) -> None:
    segment = people.segment(1)
    campaign = people.campaign(segment, status=status, scheduled_at=NOW, template_id=None)
    for _ in range(3):
        people.sweep()
        people.work()
        people.send(campaign)
    row = people.row(campaign)
    assert (row["status"], row["started_at"]) == (status, None)
    assert row["problem"].startswith("no_template: ")
    [event] = people.events("campaign.refused")
    assert (event["reason"], event["campaign_id"]) == ("no_template", str(campaign))
    people.set(campaign, template_id=people.template(), segment_id=uuid4())
    people.send(campaign)
    assert [e["reason"] for e in people.events("campaign.refused")] == ["no_template", "no_segment"]
    people.set(campaign, segment_id=segment)
    people.sweep()
    people.work()
    assert (people.row(campaign)["status"] == "sending") == (status == "scheduled")


def test_what_belongs_to_another_organization_does_not_exist(people: Scene) -> None:
    people.stage.organization(2)
    template = people.template(organization_id=org(2))
    segment = people.segment(organization_id=org(2))
    for columns in ({"template_id": template}, {}):
        campaign = people.campaign(segment, **columns)
        people.send(campaign)
        assert people.row(campaign)["problem"] is not None
    assert [e["reason"] for e in people.events("campaign.refused")] == ["no_template", "no_segment"]


@pytest.mark.parametrize("status", ["draft", "scheduled", "sending"])
def test_a_campaign_waits_for_its_segment(status: str, people: Scene) -> None:
    segment = people.segment(1, 2, type="dynamic", filter_criteria='{"field": "email"}')
    campaign = people.campaign(segment, status=status, scheduled_at=NOW - timedelta(days=30))
    people.send(campaign)
    row = people.row(campaign)
    assert (row["status"], row["scheduled_at"], row["problem"]) == ("scheduled", NOW, None)
    people.stage.later(minutes=5)
    people.sweep()
    people.work()
    assert people.row(campaign)["scheduled_at"] == NOW + timedelta(minutes=5)
    people.stage.db.execute(
        "update crm.segments set state = 'ready', ready_version = criteria_version"
    )
    people.sweep()
    people.work()
    assert len(people.messages(campaign)) == 2
    people.stage.db.execute("update crm.segments set filter_criteria = '{}'")
    again = people.campaign(segment)
    people.send(again)
    assert people.row(again)["status"] == "scheduled"  # its members are those of old criteria


def test_a_start_has_a_fixed_number_of_statements(people: Scene) -> None:
    counts = []
    for members in ((1,), (1, 2, 3, 4)):
        campaign = people.campaign(people.segment(*members))
        wrapped: list[Wrapped] = []

        def around(db: Database, wrapped: list[Wrapped] = wrapped) -> Database:
            wrapped.append(Wrapped(db))
            return wrapped[-1]

        people.stage.around = around
        people.send(campaign)
        counts.append(wrapped[0].names)
    assert counts[0] == counts[1]
    assert counts[0] == [
        "campaign", "part_edges", "lock_campaign", "campaign", "start_run",
        "another", "another", "another", "commit",
    ]  # fmt: skip


def test_a_segment_that_changes_meanwhile_is_planned_again(people: Scene) -> None:
    small, other = people.segment(1), people.segment(1, 2)
    campaign = people.campaign(small)

    def change(name: str, is_open: bool) -> None:
        if name == "lock_campaign":
            people.set(campaign, segment_id=other)

    people.stage.around = lambda db: Wrapped(db, before=change)
    with pytest.raises(SubjectChanged):
        people.send(campaign)
    people.stage.around = lambda db: db
    people.fan_out(campaign)
    assert len(people.messages(campaign)) == 2
