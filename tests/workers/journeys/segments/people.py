"""Contacts with everything that criteria can read, drawn from few values so that many match."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from journeys.reference.criteria import Event, Facts
from shared.ports import Database

ORG = UUID(int=1)
T = datetime(2026, 3, 8, 12, tzinfo=UTC)
TAGS = [str(UUID(int=100 + n)) for n in range(3)]
SEGMENTS = [str(UUID(int=200 + n)) for n in range(3)]
COMPANIES: list[dict[str, Any]] = [
    {"id": str(UUID(int=300)), "name": "Acme", "domain": "acme.example", "industry": "",
     "size": "mid"},
    {"id": str(UUID(int=301)), "name": "O'Neil", "domain": None, "industry": "IT", "size": "smb"},
    {"id": str(UUID(int=302)), "name": "acme", "domain": "b.example", "industry": "IT",
     "size": None},
]  # fmt: skip
# The clocks of these change at midnight, by half an hour, not at all, or by a full hour.
ZONES = ["UTC", "America/New_York", "America/Havana", "Africa/Cairo", "Australia/Lord_Howe",
         "Asia/Kolkata", "Pacific/Kiritimati"]  # fmt: skip
TEXTS = [
    "a",
    "A",
    "Ab",
    "aB%",
    "_",
    "ä",
    "Ä",
    "İ",
    "ß",
    "10",
    "9",
    "1.50",
    "true",
    "x'\"y",
    "",
    None,
]
NUMBERS = ["10", "9", "-0.0", "1.50", "1e3", "0.0000001", "1e90"]
DAYS = ["1990-03-08", "1992-02-29", "2000-02-28", "1990-03-09", "2026-02-30", "2026-03-08",
        "2026-11-01", "1900-01-01"]  # fmt: skip
MOMENTS = ["2026-03-08T12:00:00Z", "2026-03-07T12:00:00.000001+00:00", "2026-03-08T17:30+05:30",
           "2026-03-08T12:00:00", "2026-03-09T24:00:00Z", "2026-03-15T12:00:00-00:30"]  # fmt: skip
KEYS = ["plan", "a.b", 'quo"te', "it's", "%_", "$1", ":t", "{x}", "born", "n"]
TYPES = ["email_opened", "email_sent", "page_visited"]
SOURCES = ["web", None]
STEPS = [timedelta(0), timedelta(microseconds=1), timedelta(minutes=30), timedelta(hours=1),
         timedelta(days=1), timedelta(days=3), timedelta(days=7), timedelta(days=30)]  # fmt: skip


def moment(random: Random) -> datetime:
    """A time that is often exactly a span away from T."""
    return (
        T
        + random.choice((-1, 1)) * random.choice(STEPS)
        + random.choice((-1, 1)) * random.choice(STEPS)
    )


def custom_value(random: Random) -> str:
    """The JSON text of a value of a custom field."""
    return random.choice([
        *(json.dumps(text) for text in TEXTS), *NUMBERS, "true", "false", "null", "{}", "[]",
        '["a", "Ab"]', '["", null]', '[1.50, true]',
        *(json.dumps(text) for text in (*DAYS, *MOMENTS)),
    ])  # fmt: skip


def facts(random: Random) -> tuple[Facts, str]:
    """A contact, and their custom fields as JSON."""
    keys = random.sample(KEYS, random.randint(0, 6))
    custom = "{" + ", ".join(f"{json.dumps(key)}: {custom_value(random)}" for key in keys) + "}"
    has_score = random.random() < 0.5
    found = Facts(
        columns={
            "email": random.choice(["Ä@x.example", "a@x.example", "A@X.example", "", None]),
            **{
                name: random.choice(TEXTS) for name in ("first_name", "last_name", "phone", "stage")
            },
            "status": random.choice(["active", "bounced"]),
            "created_at": moment(random),
            "updated_at": moment(random),
            "last_activity_at": random.choice([None, moment(random)]),
        },
        custom=json.loads(custom, parse_float=Decimal, parse_int=Decimal),
        score=random.choice([0, 19, 20, 80]) if has_score else None,
        grade=random.choice("AF") if has_score else None,
        tags=frozenset(random.sample(TAGS, random.randint(0, 2))),
        segments=frozenset(random.sample(SEGMENTS, random.randint(0, 2))),
        companies=random.sample(COMPANIES, random.choice((0, 0, 1, 2))),
        events=[
            Event(random.choice(TYPES), random.choice(SOURCES), moment(random))
            for _ in range(random.choice((0, 1, 4)))
        ],
    )
    return found, custom


def insert(
    db: Database, people: Sequence[tuple[UUID, Facts, str]], organization_id: UUID = ORG
) -> None:
    """Insert contacts with all that belongs to them."""
    for contact_id, own, custom in people:
        insert_one(db, organization_id, contact_id, own, custom)


def insert_surroundings(db: Database, organization_id: UUID = ORG) -> None:
    """Insert companies, tags and static segments."""
    for company in COMPANIES:
        db.execute(
            "insert into crm.companies (id, organization_id, name, domain, industry, size)"
            " values (:id, :org, :name, :domain, :industry, :size)",
            org=organization_id, **company,
        )  # fmt: skip
    for tag in TAGS:
        db.execute(
            "insert into crm.tags (id, organization_id, name) values (:id, :org, 'a tag')",
            id=tag, org=organization_id,
        )  # fmt: skip
    for segment in SEGMENTS:
        db.execute(
            "insert into crm.segments (id, organization_id, name, type)"
            " values (:id, :org, 'a list', 'static')",
            id=segment, org=organization_id,
        )  # fmt: skip


def insert_one(db: Database, org: UUID, contact_id: UUID, own: Facts, custom: str) -> None:
    columns: dict[str, Any] = {"id": contact_id, "organization_id": org, **own.columns}
    names = ", ".join(columns)
    places = ", ".join(f":{name}" for name in columns)
    db.execute(
        f"insert into crm.contacts ({names}, custom_fields)"
        f" values ({places}, cast(:custom as jsonb))",
        **columns, custom=custom,
    )  # fmt: skip
    if own.score is not None:
        db.execute(
            "insert into scoring.lead_scores (organization_id, contact_id, total_score, grade,"
            " engagement_score, fit_score, intent_score, scored_at)"
            " values (:org, :id, :score, :grade, 0, 0, 0, now())",
            org=org, id=contact_id, score=own.score, grade=own.grade,
        )  # fmt: skip
    for table, column, ids in (
        ("contact_tags", "tag_id", own.tags),
        ("segment_contacts", "segment_id", own.segments),
        ("contact_companies", "company_id", [company["id"] for company in own.companies]),
    ):
        for one in ids:
            db.execute(
                f"insert into crm.{table} (contact_id, {column}) values (:id, :own)",
                id=contact_id, own=one,
            )  # fmt: skip
    for event in own.events:
        db.execute(
            "insert into analytics.contact_activity (organization_id, contact_id, event_type,"
            " event_source, occurred_at) values (:org, :id, :type, :source, :at)",
            org=org, id=contact_id, type=event.type, source=event.source, at=event.occurred_at,
        )  # fmt: skip


def read(db: Database, organization_id: UUID = ORG) -> dict[UUID, Facts]:
    """What the database knows of each contact; members of static segments alone."""
    return {row["id"]: _read(db, row) for row in db.rows(
        "select id, email, first_name, last_name, phone, status, stage, created_at, updated_at,"
        " last_activity_at, cast(custom_fields as text) as custom from crm.contacts"
        " where organization_id = :org", org=organization_id,
    )}  # fmt: skip


def _read(db: Database, row: dict[str, Any]) -> Facts:
    contact_id, custom = row.pop("id"), row.pop("custom")

    def ids(sql: str) -> frozenset[str]:
        return frozenset(str(own["id"]) for own in db.rows(sql, id=contact_id))

    scores = db.rows(
        "select total_score, grade from scoring.lead_scores where contact_id = :id", id=contact_id
    ) or [{"total_score": None, "grade": None}]
    return Facts(
        columns=row,
        custom=json.loads(custom, parse_float=Decimal, parse_int=Decimal),
        score=scores[0]["total_score"],
        grade=scores[0]["grade"],
        tags=ids("select tag_id as id from crm.contact_tags where contact_id = :id"),
        segments=ids(
            "select segment_id as id from crm.segment_contacts as member"
            " join crm.segments as segment on segment.id = segment_id"
            " where contact_id = :id and type = 'static'"
        ),
        companies=[
            {**company, "id": str(company["id"])}
            for company in db.rows(
                "select company.* from crm.companies as company"
                " join crm.contact_companies as own on own.company_id = company.id"
                " where own.contact_id = :id", id=contact_id,
            )
        ],
        events=[
            Event(event["event_type"], event["event_source"], event["occurred_at"])
            for event in db.rows(
                "select event_type, event_source, occurred_at from analytics.contact_activity"
                " where contact_id = :id", id=contact_id,
            )
        ],
    )  # fmt: skip
