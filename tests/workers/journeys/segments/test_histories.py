"""After any history, the members of a segment are those that plain Python names."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from journeys.domain.criteria import segments_of
from journeys.domain.parse import Catalog, parse
from journeys.reference.criteria import Facts, matches
from mauntic.database.embedded.server import Server
from tests.scratch import scratch_database
from tests.thorough import THOROUGH
from tests.workers.journeys.segments.documents import CATALOG, groups
from tests.workers.journeys.segments.people import (
    COMPANIES,
    ORG,
    SEGMENTS,
    STEPS,
    TAGS,
    TYPES,
    ZONES,
    T,
    facts,
    insert_one,
    insert_surroundings,
    read,
)
from tests.workers.journeys.segments.stage import Stage, opened

DYNAMIC = [str(UUID(int=400)), str(UUID(int=401))]
numbers = st.integers(0, 4)
documents = groups(2).map(json.dumps)
own_events = st.tuples(st.sampled_from(TYPES), st.sampled_from(STEPS), st.sampled_from([-1, 1]))


def contact(number: int) -> UUID:
    return UUID(int=1_000 + number)


def put(stage: Stage, number: int, seed: int) -> None:
    """Insert a contact with everything, or another one at the same place."""
    forget(stage, number)
    insert_one(stage.db, ORG, contact(number), *facts(Random(seed)))


def forget(stage: Stage, number: int) -> None:
    for table, column in (
        ("crm.contacts", "id"), ("crm.contact_tags", "contact_id"),
        ("crm.contact_companies", "contact_id"), ("scoring.lead_scores", "contact_id"),
        ("analytics.contact_activity", "contact_id"),
    ):  # fmt: skip
        stage.db.execute(f"delete from {table} where {column} = :id", id=contact(number))


def change(stage: Stage, number: int, seed: int) -> None:
    """Update the columns and the custom fields of a contact."""
    own, custom = facts(Random(seed))
    names = ", ".join(f"{name} = :{name}" for name in own.columns)
    stage.db.execute(
        f"update crm.contacts set {names}, custom_fields = cast(:custom as jsonb) where id = :id",
        **own.columns, custom=custom, id=contact(number),
    )  # fmt: skip


def event(stage: Stage, number: int, drawn: tuple[str, timedelta, int]) -> None:
    type_, step, sign = drawn
    if contact(number) in read(stage.db):
        stage.event(contact(number), type_, stage.outside.now + sign * step)


def set_criteria(stage: Stage, number: int, document: str) -> None:
    stage.db.execute(
        "insert into crm.segments (id, organization_id, name, type, filter_criteria)"
        " values (:id, :org, 's', 'dynamic', cast(:document as jsonb))"
        " on conflict (id) do update set filter_criteria = excluded.filter_criteria",
        id=DYNAMIC[number], org=ORG, document=document,
    )  # fmt: skip


def refer(stage: Stage, operator: str) -> None:
    """The second segment reads the first."""
    leaf = {"field": "segment", "operator": operator, "value": DYNAMIC[:1]}
    if stage.db.rows("select id from crm.segments where id = :id", id=DYNAMIC[0]):
        set_criteria(stage, 1, json.dumps({"operator": "and", "conditions": [leaf]}))


def tag(stage: Stage, number: int, tag_id: str) -> None:
    """Tag a contact, or remove the tag."""
    own = {"id": contact(number), "tag": tag_id}
    gone = "delete from crm.contact_tags where contact_id = :id and tag_id = :tag"
    if stage.db.execute(gone, **own) == 0:
        stage.db.execute("insert into crm.contact_tags values (:id, :tag)", **own)


def enlist(stage: Stage, number: int, segment_id: str) -> None:
    """Put a contact on a list, or take them off."""
    own = {"id": contact(number), "segment": segment_id}
    gone = "delete from crm.segment_contacts where contact_id = :id and segment_id = :segment"
    if stage.db.execute(gone, **own) == 0 and contact(number) in read(stage.db):
        stage.db.execute(
            "insert into crm.segment_contacts (contact_id, segment_id) values (:id, :segment)",
            **own,
        )


def score(stage: Stage, number: int, total: int) -> None:
    stage.db.execute(
        "update scoring.lead_scores set total_score = :total where contact_id = :id",
        total=total, id=contact(number),
    )  # fmt: skip


def resize(stage: Stage, number: int, size: str) -> None:
    stage.db.execute(
        "update crm.companies set size = :size where id = :id",
        size=size, id=COMPANIES[number % 3]["id"],
    )  # fmt: skip


def move(stage: Stage, zone: str) -> None:
    stage.db.execute(
        "insert into delivery.organization_settings (organization_id, time_zone)"
        " values (:org, :zone) on conflict (organization_id) do update set time_zone = :zone",
        org=ORG, zone=zone,
    )  # fmt: skip


def declare(stage: Stage, type_: str) -> None:
    stage.db.execute("update crm.fields set field_type = :type where name = 'plan'", type=type_)


steps = st.lists(st.one_of(
    st.tuples(st.just(put), numbers, st.integers(0, 10_000)),
    st.tuples(st.just(change), numbers, st.integers(0, 10_000)),
    st.tuples(st.just(forget), numbers),
    st.tuples(st.just(event), numbers, own_events),
    st.tuples(st.just(set_criteria), st.integers(0, 1), documents),
    st.tuples(st.just(refer), st.sampled_from(["in", "not_in"])),
    st.tuples(st.just(tag), numbers, st.sampled_from(TAGS)),
    st.tuples(st.just(enlist), numbers, st.sampled_from(SEGMENTS)),
    st.tuples(st.just(score), numbers, st.sampled_from([0, 80])),
    st.tuples(st.just(resize), numbers, st.sampled_from(["mid", "smb", ""])),
    st.tuples(st.just(move), st.sampled_from(ZONES)),
    st.tuples(st.just(declare), st.sampled_from(["select", "text"])),
    st.tuples(st.just(Stage.build)),
    st.tuples(st.just(lambda stage: check(stage))),
), min_size=3, max_size=14)  # fmt: skip


def expected(stage: Stage, t: datetime) -> dict[str, set[UUID]]:
    """The members of each dynamic segment at `t`, by plain Python."""
    [settings_] = stage.db.rows("select time_zone from delivery.organization_settings")
    zone = ZoneInfo(settings_["time_zone"])
    people: dict[UUID, Facts] = read(stage.db)
    found: dict[str, set[UUID]] = {}
    rows = stage.db.rows(
        "select id, cast(filter_criteria as text) as document from crm.segments"
        " where type = 'dynamic' order by id"
    )
    for row in rows:
        criteria = parse(row["document"], catalog(stage))
        assert segments_of(criteria) <= {*SEGMENTS, *found}
        members = {own for own, their in people.items() if matches(criteria, their, t, zone)}
        found[str(row["id"])] = members
        for own in members:
            more = people[own].segments | {str(row["id"])}
            people[own] = replace(people[own], segments=more)
    return found


def catalog(stage: Stage) -> Catalog:
    rows = stage.db.rows("select name, field_type from crm.fields")
    types = {row["name"]: row["field_type"] for row in rows}
    return replace(CATALOG, field_types=types, segments=CATALOG.segments | set(DYNAMIC))


def check(stage: Stage) -> None:
    """Evaluate; then every segment that is ready has exactly the members it should have."""
    stage.hour()
    hour = stage.outside.now.replace(minute=0, second=0, microsecond=0)
    rows = stage.db.rows("select * from crm.segments where type = 'dynamic'")
    t = max([hour, *(row["evaluated_at"] for row in rows if row["evaluated_at"])])
    right = expected(stage, t)
    states = {str(row["id"]): row["state"] for row in rows}
    assert "invalid" not in states.values(), rows
    for row in rows:
        if "building" not in states.values():
            members = {contact(number) for number in stage.members(row["id"])}
            assert members == right[str(row["id"])], row["filter_criteria"]
            assert row["contact_count"] == len(members)
        assert replayed(stage, row["id"]) == stage.members(row["id"])


def replayed(stage: Stage, segment_id: UUID) -> set[int]:
    """The members that follow from the numbered changes."""
    members: set[int] = set()
    for place, (number, kind, who) in enumerate(stage.changes(segment_id), 1):
        assert number == place
        assert (who in members) == (kind == "left")
        (members.add if kind == "entered" else members.remove)(who)
    return members


@given(steps)
@settings(max_examples=200 if THOROUGH else 8)
def test_members_are_those_of_a_full_evaluation(
    postgres: Server, migrated: str, history: list[tuple[Callable[..., Any], ...]]
) -> None:
    with scratch_database(postgres, migrated) as url, opened(url) as stage:
        stage.outside.now = T
        insert_surroundings(stage.db)
        move(stage, "UTC")
        for name, type_ in {**CATALOG.field_types, "plan": "select"}.items():
            stage.db.execute(
                "insert into crm.fields (organization_id, name, field_type)"
                " values (:org, :name, :type)", org=ORG, name=name, type=type_,
            )  # fmt: skip
        for work, *given_ in history:
            work(stage, *given_)
        for work in (check, Stage.build, check):
            work(stage)
        states = stage.db.rows("select distinct state from crm.segments")
        assert [row["state"] for row in states] == ["ready"]
