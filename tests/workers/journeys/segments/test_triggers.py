"""Each change of what a segment reads is noted for its contact, and nothing else is."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from tests.workers.journeys.segments.people import COMPANIES, ORG, TAGS, insert_surroundings
from tests.workers.journeys.segments.stage import Stage

TAG, COMPANY = TAGS[0], COMPANIES[0]["id"]
CONTACT = UUID(int=1_001)
OF_TAG = {"field": "tag", "operator": "eq", "value": TAG}
OF_COMPANY = {"field": "company.size", "operator": "eq", "value": "mid"}
OF_SCORE = {"field": "lead_score", "operator": "gte", "value": 20}
OF_EVENT = {"event": "demo", "operator": "gte", "value": 1}
OF_ACTIVITY = {"field": "last_activity_at", "operator": "is_set"}
OF_PLAN = {"field": "custom.it's", "operator": "is_set"}
OF_EMAIL = {"field": "email", "operator": "is_set"}
EVENT = (
    "insert into analytics.contact_activity (organization_id, contact_id, event_type, occurred_at)"
    " values (:org, :contact, '{}', now())"
)
SCORE = (
    "insert into scoring.lead_scores (organization_id, contact_id, total_score, grade,"
    " engagement_score, fit_score, intent_score, scored_at)"
    " values (:org, :contact, 1, 'F', 0, 0, 0, now())"
)
# What is read, the changes before, the change; and how many rows of the feed it leaves.
CHANGES: list[tuple[dict[str, Any], list[str], str, int]] = [
    (OF_EMAIL, [], "insert into crm.contacts (organization_id) values (:org)", 1),
    (OF_EMAIL, [], "update crm.contacts set email = 'x'", 1),
    (OF_EMAIL, [], "update crm.contacts set email = email, phone = 'x'", 0),
    (OF_PLAN, [], "update crm.contacts set custom_fields = '{\"it''s\": 1}'", 1),
    (OF_PLAN, [], "update crm.contacts set custom_fields = '{\"its\": 1}', email = 'x'", 0),
    (OF_TAG, [], "insert into crm.contact_tags values (:contact, :tag)", 1),
    (
        OF_TAG,
        ["insert into crm.contact_tags values (:contact, :tag)"],
        "delete from crm.contact_tags",
        1,
    ),
    (OF_EMAIL, [], "insert into crm.contact_tags values (:contact, :tag)", 0),
    (OF_COMPANY, [], "insert into crm.contact_companies values (:contact, :company)", 1),
    (
        OF_COMPANY,
        ["insert into crm.contact_companies values (:contact, :company)"],
        "delete from crm.contact_companies",
        1,
    ),
    (OF_COMPANY, [], "update crm.companies set size = 'smb' where id = :company", 0),
    (
        OF_COMPANY,
        ["insert into crm.contact_companies values (:contact, :company)"],
        "update crm.companies set size = 'smb'",
        1,
    ),
    (OF_EMAIL, [], "update crm.companies set size = 'smb' where id = :company", 0),
    (OF_SCORE, [], SCORE, 1),
    (OF_SCORE, [SCORE], "update scoring.lead_scores set total_score = 2", 1),
    (OF_SCORE, [SCORE], "update scoring.lead_scores set fit_score = 2", 0),
    (OF_SCORE, [SCORE], "delete from scoring.lead_scores", 1),
    (OF_EVENT, [], EVENT.format("demo"), 1),
    (OF_EVENT, [], EVENT.format("other"), 0),
    (OF_EVENT, [EVENT.format("demo")], "update analytics.contact_activity set event_type = 'x'", 1),
    (OF_EVENT, [EVENT.format("demo")], "delete from analytics.contact_activity", 1),
    (OF_ACTIVITY, [], EVENT.format("other"), 1),
    (OF_ACTIVITY, [], EVENT.format("email_sent"), 0),
    (
        OF_PLAN,
        [],
        "insert into crm.fields (organization_id, name, field_type)"
        " values (:org, 'it''s', 'number')",
        1,
    ),
    (
        OF_PLAN,
        [],
        "insert into crm.fields (organization_id, name, field_type)"
        " values (:org, 'plan', 'number')",
        0,
    ),
    (
        {"field": "created_at", "operator": "gt", "value": "2026-03-01"},
        [],
        "insert into delivery.organization_settings (organization_id, time_zone)"
        " values (:org, 'Asia/Kolkata')",
        1,
    ),
    (
        OF_EMAIL,
        [],
        "insert into delivery.organization_settings (organization_id, time_zone)"
        " values (:org, 'Asia/Kolkata')",
        0,
    ),
]


@pytest.fixture
def platform(stage: Stage) -> Stage:
    insert_surroundings(stage.db)
    stage.contact(1)
    return stage


def change(stage: Stage, sql: str) -> None:
    own = {"org": ORG, "contact": CONTACT, "tag": TAG, "company": COMPANY}
    stage.db.execute(sql, **{name: value for name, value in own.items() if f":{name}" in sql})


def noted(stage: Stage) -> int:
    rows = stage.db.rows(
        "select count(*) as count from crm.contact_changes where consumer = 'segments'"
    )
    return int(rows[0]["count"])


@pytest.mark.parametrize(("leaf", "before", "sql", "count"), CHANGES)
def test_a_change_is_noted_where_a_segment_reads_it(
    platform: Stage, leaf: dict[str, Any], before: list[str], sql: str, count: int
) -> None:
    for earlier in before:
        change(platform, earlier)
    platform.segment({"operator": "and", "conditions": [leaf]})
    platform.build()
    assert noted(platform) == 0
    change(platform, sql)
    assert noted(platform) == count


@pytest.mark.parametrize("colleagues", [0, 100])
def test_a_changed_company_concerns_its_contacts(platform: Stage, colleagues: int) -> None:
    """Those of a large company are one row of the feed, which the job expands."""
    change(platform, "insert into crm.contact_companies values (:contact, :company)")
    platform.db.execute(
        "insert into crm.contact_companies"
        " select gen_random_uuid(), :company from generate_series(1, :more)",
        company=COMPANY,
        more=colleagues,
    )
    segment = platform.segment({"operator": "and", "conditions": [OF_COMPANY]})
    platform.build()
    assert platform.members(segment) == {1}
    change(platform, "update crm.companies set size = 'smb'")
    assert noted(platform) == 1
    platform.hour()
    assert platform.members(segment) == set()


def test_a_changed_type_of_a_field_builds_the_segment_again(platform: Stage) -> None:
    platform.db.execute('update crm.contacts set custom_fields = \'{"seats": "010"}\'')
    leaf = {"field": "seats", "operator": "eq", "value": "10"}
    segment = platform.segment({"operator": "and", "conditions": [leaf]})
    platform.build()
    assert platform.members(segment) == set()
    change(
        platform,
        "insert into crm.fields (organization_id, name, field_type)"
        " values (:org, 'seats', 'number')",
    )
    platform.hour()
    assert platform.state(segment)["criteria_version"] == 2
    platform.build()
    assert (platform.state(segment)["state"], platform.members(segment)) == ("ready", {1})


def test_a_bulk_load_asks_for_evaluation(platform: Stage) -> None:
    segment = platform.segment({"operator": "and", "conditions": [OF_EMAIL]})
    platform.build()
    with platform.db.transaction():
        platform.db.execute("set local session_replication_role = 'replica'")
        platform.db.execute("update crm.contacts set email = 'a@b.example'")
    [row] = platform.db.rows(
        "select crm.request_evaluation(array[cast(:org as uuid)], array[cast(:id as uuid)]) as n",
        org=ORG,
        id=CONTACT,
    )
    platform.hour()
    assert (row["n"], platform.members(segment)) == (1, {1})


def test_a_deleted_segment_leaves_nothing(platform: Stage) -> None:
    leaf = {"field": "created_at", "operator": "within_last", "value": {"n": 9, "unit": "day"}}
    segment = platform.segment({"operator": "and", "conditions": [leaf]})
    platform.build()
    platform.db.execute("delete from crm.segments where id = :id", id=segment)
    platform.hour()
    left = [
        platform.db.rows(f"select 1 from crm.{table} where segment_id = :id", id=segment)
        for table in ("segment_contacts", "segment_changes", "segment_recheck")
    ]
    assert (left, platform.waiting()) == ([[], [], []], 0)
    assert json.dumps(platform.outside.named("segment.failed")) == "[]"
