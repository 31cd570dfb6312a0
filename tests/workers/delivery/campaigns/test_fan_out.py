"""The fan-out of a run, compared with plain Python; its parts in any order, and again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery.store import campaigns, fan_out
from shared.errors import SubjectChanged
from shared.ledger import parts
from tests.roles import as_worker
from tests.thorough import examples
from tests.workers.delivery.campaigns.scene import Scene
from tests.workers.delivery.stage import NOW, Stage, org, person
from tests.workers.delivery.wrapped_database import Wrapped

# One address in several spellings, no address, and one that no e-mail has.
SPELLINGS = (
    "a@x.example",
    " A@x.EXAMPLE",
    "b@x.example",
    "É@x.example",
    "é@x.example",
    None,
    "",
    "  ",
)
LONG = "l" * 250 + "@x.example"
Bounds = tuple[int | None, int | None]


def plain(text: str | None) -> str | None:
    """The address as SQL can normalize it."""
    address = (text or "").strip(" ").lower()
    return address if 1 <= len(address.encode()) <= 254 else None


@dataclass
class PlainRun:
    """The rows of a run by contact, as the document says it in words."""

    emails: dict[int, str | None]
    rows: dict[int, tuple[str, str | None, str | None]] = field(default_factory=dict)

    def insert(self, members: set[int], bounds: Bounds) -> None:
        first, until = bounds
        own = [
            n for n in sorted(members)
            if (first is None or n >= first) and (until is None or n < until)
        ]  # fmt: skip
        addresses = {n: plain(self.emails[n]) if n in self.emails else None for n in own}
        lowest = {address: n for n, address in reversed(addresses.items()) if address}
        taken = {address for state, _, address in self.rows.values() if state != "skipped"}
        for number, address in addresses.items():
            if number in self.rows:
                continue
            if number not in self.emails:
                self.rows[number] = ("skipped", "unknown_contact", None)
            elif address is None or (lowest[address] == number and address not in taken):
                self.rows[number] = ("pending", None, address)
            else:
                self.rows[number] = ("skipped", "duplicate_address", None)


@dataclass
class Example:
    emails: list[str | None]
    size: int
    steps: list[tuple[str, int]]


steps = st.one_of(
    st.tuples(st.just("part"), st.integers(0, 5)),
    st.tuples(st.sampled_from(["enter", "leave", "delete"]), st.integers(1, 8)),
)
cases = st.builds(
    Example,
    emails=st.lists(st.sampled_from([*SPELLINGS, LONG]), min_size=8, max_size=8),
    size=st.integers(1, 4),
    steps=st.lists(steps, max_size=10),
)


@pytest.fixture(scope="module")
def shared_scene(postgres: Any, migrated: str) -> Iterator[Scene]:
    from tests.scratch import scratch_database

    with scratch_database(postgres, migrated) as url, closing(Stage(url)) as stage:
        yield Scene(stage)


@settings(
    max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # fmt: skip
@given(cases)
def test_the_rows_are_those_of_plain_python(shared_scene: Scene, example: Example) -> None:
    """Members enter, leave and vanish between the parts, and parts come in any order, and again."""
    scene = shared_scene
    scene.stage.db.execute("truncate crm.contacts, crm.segment_contacts, delivery.messages")
    for number, address in enumerate(example.emails[:6], 1):
        scene.stage.contact(number, email=address)
    emails = dict(enumerate(example.emails[:6], 1))
    segment = scene.segment(1, 2, 3, 4, 7)  # 7 and 8 exist in no table of contacts
    members = {1, 2, 3, 4, 7}
    run, bounds = started(scene, segment, example.size)
    expected = PlainRun(emails)
    for name, number in [*example.steps, *[("part", n) for n in range(len(bounds))]]:
        if name == "part":
            own = bounds[number % len(bounds)]
            fan_out.insert(scene.stage.worker, run, dict(own), NOW)
            expected.insert(members, tuple(map(number_of, edges(own))))
        elif name == "enter" and number not in members:
            scene.enter(segment, [number])
            members.add(number)
        elif name == "leave":
            scene.leave(segment, [number])
            members.discard(number)
        elif name == "delete" and number in emails:
            scene.stage.db.execute("delete from crm.contacts where id = :id", id=person(number))
            members.discard(number)
            del emails[number]
    rows = {
        number_of(m["contact_id"]): (m["state"], m["reason"], m["address"])
        for m in scene.messages(run.campaign_id)
    }
    assert rows == expected.rows


def started(scene: Scene, segment: UUID, size: int) -> tuple[Any, list[dict[str, Any]]]:
    """A run with parts of that size."""
    campaign = scene.campaign(segment)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(campaigns, "MEMBERS_MAX", size)
        scene.send(campaign)
    scene.queued.clear()
    [job] = scene.runs(campaign)
    planned = parts.open_parts(scene.stage.worker, campaigns.subject_of(job["id"]))
    run = fan_out.run_of_part(scene.stage.worker, (org(), campaign), 1)
    assert run is not None
    return run, [part.bounds for part in planned]


def edges(bounds: dict[str, Any]) -> tuple[str | None, str | None]:
    return bounds.get("firstContact"), bounds.get("untilContact")


def number_of(contact: Any) -> Any:
    return None if contact is None else UUID(str(contact)).int - 1_000


def test_parts_cover_all_contacts_each_once(scene: Scene) -> None:
    segment = scene.segment(*range(1, 8))
    _, bounds = started(scene, segment, 3)
    assert [tuple(map(number_of, edges(own))) for own in bounds] == [(None, 4), (4, 7), (7, None)]
    assert started(scene, scene.segment(), 3)[1] == [{}]
    assert started(scene, scene.segment(1, 2, 3), 3)[1] == [{}]


def test_a_part_that_is_done_or_held_is_left_alone(scene: Scene) -> None:
    scene.stage.contact(1)
    run, _ = started(scene, scene.segment(1), 3)
    with closing(Stage(scene.stage.url)) as other, other.worker.transaction():
        parts.claim(other.worker, campaigns.subject_of(run.job_id), 1)
        assert fan_out.insert_part(scene.stage.worker, run, 1, NOW) is None
    assert fan_out.insert_part(scene.stage.worker, run, 1, NOW) is not None
    assert fan_out.insert_part(scene.stage.worker, run, 1, NOW) is None
    scene.stage.db.execute("delete from delivery.delivery_jobs")
    scene.stage.db.execute("update ops.parts set done_at = null")
    with pytest.raises(SubjectChanged):
        fan_out.insert_part(scene.stage.worker, run, 1, NOW)


def test_parts_that_share_addresses_run_at_once(scene: Scene) -> None:
    """Each part has the addresses of the other, in the opposite order: none waits for another."""
    people = range(1, 201)
    for number in people:
        address = number if number <= 100 else 201 - number
        scene.stage.contact(number, email=f"p{address:03}@x.example")
    run, _ = started(scene, scene.segment(*people), 100)
    errors: list[BaseException] = []

    def insert(number: int) -> None:
        from shared.adapters.postgres.client import Postgres

        try:
            with closing(Postgres(lambda: as_worker(scene.stage.url))) as db:
                fan_out.insert_part(db, run, number, NOW)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=insert, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    states = [m["state"] for m in scene.messages(run.campaign_id)]
    assert (states.count("pending"), states.count("skipped")) == (100, 100)
    assert scene.runs(run.campaign_id)[0]["recipient_count"] == 200


def test_a_part_has_a_fixed_number_of_statements(scene: Scene) -> None:
    for number in range(1, 4):
        scene.stage.contact(number)
    run, _ = started(scene, scene.segment(1, 2, 3), 2)
    counted = []
    for number in (1, 2):
        db = Wrapped(scene.stage.worker)
        fan_out.insert_part(db, run, number, NOW)
        counted.append(db.names)
    middle = ["another", "insert_recipients", "lock_run", "another", "another"]
    assert counted == [
        [*middle, "commit"], [*middle, "complete_fan_out", "set_recipients", "commit"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("own", "hours", "on_uncertain"),
    [
        ({}, 72, "hold"),
        ({"message_class": "transactional"}, 24, "retry"),
        ({"expires_after_hours": 1.5}, 1.5, "hold"),
    ],
)
def test_messages_have_the_class_and_lifetime_of_the_settings(
    own: dict[str, Any], hours: float, on_uncertain: str, scene: Scene
) -> None:
    scene.stage.contact(1)
    campaign = scene.campaign(scene.segment(1), settings=own)
    scene.send(campaign)
    scene.stage.later(hours=1)
    scene.work()
    [message] = scene.messages(campaign)
    assert message["class"] == own.get("message_class", "marketing")
    assert message["expires_at"] - scene.stage.outside.now == timedelta(hours=hours)
    assert message["on_uncertain"] == on_uncertain


def test_an_sms_goes_to_the_number_and_a_push_to_every_device(scene: Scene) -> None:
    consent = {"_consent_preferences": {"sms": True}}
    for number, phone in ((1, "+1 415 555 2671"), (2, "+14155552671"), (3, "+14155552672")):
        scene.stage.contact(number, phone=phone, custom_fields=consent)
    for token in ("one", "two"):
        scene.stage.db.execute(
            "insert into delivery.device_tokens (organization_id, contact_id, kind, token)"
            " values (:org, :contact, 'fcm', :token)",
            org=org(), contact=person(1), token=token,
        )  # fmt: skip
    segment = scene.segment(1, 2, 3)
    text, push = scene.campaign(segment, type="sms"), scene.campaign(segment, type="push")
    for campaign, channel in ((text, "sms"), (push, "push")):
        scene.fan_out(campaign)
        scene.stage.consume(scene.stage.outside.producers[f"SEND_{channel.upper()}"].sent, channel)  # type: ignore[arg-type]
    scene.deliver("push")
    assert [(m["state"], m["reason"]) for m in scene.messages(text)] == [
        ("sent", None), ("skipped", "duplicate_address"), ("sent", None)
    ]  # fmt: skip
    assert sorted((m["state"], m["reason"]) for m in scene.messages(push)) == [
        ("sent", None), ("sent", None), ("skipped", "no_address"), ("skipped", "no_address")
    ]  # fmt: skip
    scene.sweep()
    assert (scene.row(push)["status"], scene.row(push)["recipient_count"]) == ("sent", 3)
    assert scene.row(push)["sent_count"] == 1


@pytest.mark.parametrize(("age_days", "people", "short"), [(0, 1, 0), (400, 1, 0), (0, 3, 2)])
def test_a_warm_up_that_is_too_short_is_reported(
    age_days: int, people: int, short: int, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Caps of 1, 0 and 0 messages: the run lives until the third day."""
    monkeypatch.setattr(
        "shared.warmup.counters.cap", lambda day: None if day > 30 else 1 if day == 1 else 0
    )
    scene.stage.domain(age_days=age_days)
    for number in range(1, people + 1):
        scene.stage.contact(number)
    scene.fan_out(scene.campaign(scene.segment(*range(1, people + 1))))
    found = [event["count"] for event in scene.events("campaign.warmup_short")]
    assert found == ([short] if short else [])


def test_who_changes_address_gets_the_message_there_once(scene: Scene) -> None:
    """The address of a run is a copy: a claim reads the contact's, and checks it again."""
    for number in (1, 2, 3):
        scene.stage.contact(number)
    campaign = scene.campaign(scene.segment(1, 2, 3))
    scene.fan_out(campaign)
    scene.stage.db.execute(
        "update crm.contacts set email = 'P2@people.example' where id = :id", id=person(1)
    )
    scene.stage.db.execute("update crm.contacts set email = null where id = :id", id=person(3))
    scene.stage.consume(scene.stage.outside.producers["SEND_EMAIL"].sent)
    found = [(m["state"], m["reason"]) for m in scene.messages(campaign)]
    assert found == [("skipped", "duplicate_address"), ("sent", None), ("skipped", "no_address")]
    assert [own["headers"]["To"] for own in scene.captured] == ["p2@people.example"]
