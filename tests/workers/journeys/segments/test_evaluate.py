"""Members follow contacts, time and criteria, each change once and numbered."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from journeys.store import evaluation
from mauntic.database.url import connect
from tests.workers.journeys.segments.people import ORG
from tests.workers.journeys.segments.stage import Stage

ONE_DAY = timedelta(days=1)


def all_of(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"operator": "and", "conditions": list(conditions)}


def leaf(field: str, operator: str, value: Any = None) -> dict[str, Any]:
    found = {"field": field, "operator": operator}
    return found if value is None else found | {"value": value}


def days(n: int) -> dict[str, Any]:
    return {"n": n, "unit": "day"}


def test_a_contact_enters_and_leaves_with_their_data(stage: Stage) -> None:
    stage.contact(1, stage="lead")
    stage.contact(2, stage="customer")
    customers = stage.segment(all_of(leaf("stage", "eq", "customer")))
    stage.build()
    assert stage.members(customers) == {2}
    assert stage.state(customers)["state"] == "ready"
    stage.db.execute("update crm.contacts set stage = 'customer' where stage = 'lead'")
    stage.contact(3, stage="customer")
    stage.hour()
    assert stage.members(customers) == {1, 2, 3}
    stage.db.execute("update crm.contacts set stage = 'lost' where id = :id", id=UUID(int=1_002))
    stage.hour()
    assert stage.members(customers) == {1, 3}
    assert stage.changes(customers) == [
        (1, "entered", 2), (2, "entered", 1), (3, "entered", 3), (4, "left", 2),
    ]  # fmt: skip
    assert (stage.state(customers)["contact_count"], stage.waiting()) == (2, 0)


def test_time_alone_moves_a_contact(stage: Stage) -> None:
    stage.contact(1, created_at=stage.outside.now)
    old = stage.segment(all_of(leaf("created_at", "older_than", days(1))))
    new = stage.segment(all_of(leaf("created_at", "within_last", days(1))))
    stage.build()
    assert (stage.members(old), stage.members(new)) == (set(), {1})
    stage.outside.now += timedelta(hours=22)
    stage.hour()
    assert (stage.members(old), stage.members(new)) == (set(), {1})
    stage.hour()
    assert (stage.members(old), stage.members(new)) == ({1}, set())
    assert stage.db.rows("select segment_id from crm.segment_recheck") == []


def test_inactive_contacts_are_found_without_an_event(stage: Stage) -> None:
    contact = stage.contact(1)
    stage.event(contact, "email_sent")
    inactive = stage.segment(all_of(leaf("last_activity_at", "within_last", days(1))))
    stage.build()
    assert stage.members(inactive) == set()
    stage.event(contact, "email_opened")
    stage.hour()
    assert stage.members(inactive) == {1}
    stage.outside.now += ONE_DAY
    stage.hour()
    assert stage.members(inactive) == set()


def test_a_change_that_no_segment_reads_leaves_no_row(stage: Stage) -> None:
    contact = stage.contact(1)
    stage.segment(all_of(leaf("custom.plan", "eq", "pro")))
    stage.build()
    stage.hour()
    stage.db.execute("update crm.contacts set stage = 'x', custom_fields = '{\"other\": 1}'")
    stage.event(contact, "email_opened")
    feed = "select count(*) as count from crm.contact_changes where consumer = 'segments'"
    assert stage.db.rows(feed) == [{"count": 0}]
    stage.db.execute('update crm.contacts set custom_fields = \'{"plan": "pro"}\'')
    assert stage.db.rows(feed) == [{"count": 1}]


def test_new_criteria_replace_the_members(stage: Stage) -> None:
    """Members that no longer match leave, and not before the new members are known."""
    for number in (1, 2, 3):
        stage.contact(number, stage="ab"[number % 2])
    segment = stage.segment(all_of(leaf("stage", "eq", "a")))
    stage.build()
    assert stage.members(segment) == {2}
    stage.db.execute(
        "update crm.segments set filter_criteria = cast(:criteria as jsonb)",
        criteria='{"operator": "and", "conditions":'
        ' [{"field": "stage", "operator": "eq", "value": "b"}]}',
    )
    assert (stage.state(segment)["state"], stage.members(segment)) == ("building", {2})
    stage.build()
    row = stage.state(segment)
    assert (row["state"], row["ready_version"], stage.members(segment)) == ("ready", 2, {1, 3})


@pytest.mark.parametrize(
    ("criteria", "problem"),
    [
        (all_of(), "The criteria must have at least one condition."),
        (
            all_of(leaf("stage", "like", "x")),
            "Condition 1 (stage like) has an operator that does not fit a field of the type text.",
        ),
        (
            all_of(leaf("tag", "eq", str(UUID(int=7)))),
            "Condition 1 (tag eq) names a tag that does not exist.",
        ),
    ],
)
def test_criteria_that_are_not_understood_never_make_a_segment_larger(
    stage: Stage, criteria: dict[str, Any], problem: str
) -> None:
    stage.contact(1)
    segment = stage.segment(criteria)
    stage.build()
    stage.hour()
    row = stage.state(segment)
    assert (row["state"], row["problem"], stage.members(segment)) == ("invalid", problem, set())
    assert len(stage.outside.named("segment.invalid")) == 1


def test_a_segment_of_segments_follows_in_the_same_hour(stage: Stage) -> None:
    stage.contact(1, stage="a")
    one = stage.segment(all_of(leaf("stage", "eq", "a")))
    two = stage.segment(all_of(leaf("segment", "eq", str(one))))
    three = stage.segment(all_of(leaf("segment", "not_in", [str(two)])))
    stage.build()
    stage.hour()
    assert [stage.members(own) for own in (one, two, three)] == [{1}, {1}, set()]
    stage.db.execute("update crm.contacts set stage = 'b'")
    stage.hour()
    assert [stage.members(own) for own in (one, two, three)] == [set(), set(), {1}]


def test_a_circle_of_segments_is_refused(stage: Stage) -> None:
    one = stage.segment(all_of(leaf("stage", "eq", "a")))
    two = stage.segment(all_of(leaf("segment", "eq", str(one))))
    stage.build()
    stage.db.execute(
        "update crm.segments set filter_criteria = cast(:criteria as jsonb) where id = :id",
        id=one,
        criteria='{"operator": "and", "conditions": [{"field": "segment", "operator": "eq",'
        f' "value": "{two}"}}]}}',
    )
    stage.build()
    assert (stage.state(one)["state"], stage.state(two)["state"]) == ("invalid", "ready")
    assert "reads its own members" in stage.state(one)["problem"]


def test_the_platforms_members_of_a_list_are_numbered(stage: Stage) -> None:
    contact, other = stage.contact(1), stage.contact(2)
    chosen = stage.segment()
    both = stage.segment(all_of(leaf("segment", "eq", str(chosen))))
    stage.build()
    add = "insert into crm.segment_contacts (segment_id, contact_id) values (:segment, :contact)"
    for one in (contact, other):
        stage.db.execute(add, segment=chosen, contact=one)
    stage.hour()
    assert stage.members(both) == {1, 2}
    stage.db.execute("delete from crm.contacts where id = :id", id=contact)
    assert stage.members(chosen) == stage.members(both) == {2}
    stage.hour()
    assert stage.changes(chosen) == [(1, "entered", 1), (2, "entered", 2), (3, "left", 1)]
    assert stage.changes(both) == [(1, "entered", 1), (2, "entered", 2), (3, "left", 1)]
    numbers = stage.db.rows("select entered_no from crm.segment_contacts order by segment_id")
    assert [row["entered_no"] for row in numbers] == [2, 2]
    assert [stage.state(own)["contact_count"] for own in (chosen, both)] == [1, 1]


def test_a_segment_that_fails_harms_no_other_and_becomes_invalid(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = stage.segment(all_of(leaf("last_name", "eq", "x")))
    sound = stage.segment(all_of(leaf("first_name", "is_set")))
    stage.build()
    evaluate = evaluation.evaluate

    def fail(db: Any, segment: Any, *rest: Any) -> Any:
        if segment.id == broken:
            db.execute("select 1 / 0")
        return evaluate(db, segment, *rest)

    monkeypatch.setattr(evaluation, "evaluate", fail)
    stage.contact(1, first_name="Ada")
    for runs in (1, 2):
        stage.hour()
        assert (stage.state(broken)["state"], stage.state(broken)["failed_runs"]) == ("ready", runs)
        assert (stage.members(sound), stage.waiting()) == ({1}, 1)
    stage.hour()
    assert stage.state(broken)["state"] == "invalid"
    assert [entry["error_class"] for entry in stage.outside.named("segment.failed")] == [
        "DatabaseError:22012"
    ] * 3
    stage.hour()
    assert (stage.members(sound), stage.waiting()) == ({1}, 0)


def test_many_contacts_are_evaluated_in_shards_and_portions(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "SHARD_CONTACTS", 10)
    monkeypatch.setattr(evaluation, "CHUNK_CONTACTS", 3)
    monkeypatch.setattr(evaluation, "DUE_AT_ONCE", 4)
    even = stage.segment(all_of(leaf("stage", "eq", "even")))
    young = stage.segment(all_of(leaf("created_at", "within_last", {"n": 30, "unit": "minute"})))
    stage.build()
    for number in range(25):
        stage.contact(number, stage=("even", "odd")[number % 2])
    stage.outside.now += timedelta(minutes=50)
    stage.hour()
    assert stage.members(even) == set(range(0, 25, 2))
    assert (stage.members(young), stage.waiting()) == (set(), 0)
    assert [number for number, _, _ in stage.changes(even)] == list(range(1, 14))


def test_the_colon_is_an_alias(stage: Stage) -> None:
    segment = stage.segment(all_of(leaf("stage", "eq", "a")))
    stage.build()
    stage.contact(1, stage="a")
    stage.outside.now += timedelta(hours=1)
    assert stage.deliver([{"type": "journey:segment-trigger-eval"}]) == ["ack"]
    assert stage.members(segment) == {1}


def test_a_build_waits_for_writers_that_have_not_seen_what_it_reads(stage: Stage) -> None:
    """Their triggers have noted nothing, so the build must see what they commit."""
    with closing(connect(stage.url)) as writer:
        writer.run("begin")
        writer.run(
            "insert into crm.contacts (id, organization_id, stage) values (:id, :org, 'a')",
            id=UUID(int=1_001),
            org=ORG,
        )
        segment = stage.segment(all_of(leaf("stage", "eq", "a")))
        for _ in range(2):
            stage.five_minutes()
            assert (stage.state(segment)["state"], stage.members(segment)) == ("building", set())
        writer.run("commit")
    stage.build()
    assert (stage.state(segment)["state"], stage.members(segment)) == ("ready", {1})
