"""The examples of docs/segments.md, each evaluated by Postgres and by plain Python."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from journeys.domain.parse import Catalog, parse
from journeys.reference.criteria import Event, Facts, matches
from journeys.store.criteria_sql import compile_criteria
from mauntic.database.embedded.server import Server
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from tests.scratch import scratch_database
from tests.workers.journeys.segments.people import ORG, insert_one

PAGE = (Path(__file__).parents[4] / "docs" / "segments.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\{.*\})` \| (.*?)\|$", PAGE, re.MULTILINE)
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
CUSTOM = '{"plan": "pro", "seats": "10", "born": "1990-03-10", "vip": true}'
ADA, BOB = UUID(int=1), UUID(int=2)
PEOPLE = {
    ADA: (
        Facts(
            columns={
                "stage": "customer", "email": "Ada@Acme.example",
                "created_at": datetime(2026, 1, 1, tzinfo=UTC),
            },
            custom=json.loads(CUSTOM),
            events=[Event("email_opened", None, datetime(2026, 3, 9, 18, tzinfo=UTC))],
        ),
        CUSTOM,
    ),
    BOB: (Facts(columns={"created_at": datetime(2026, 3, 10, 11, tzinfo=UTC)}), "{}"),
}  # fmt: skip


@pytest.fixture(scope="module")
def filled(postgres: Server, migrated: str) -> Iterator[Postgres]:
    with scratch_database(postgres, migrated) as url, closing(Postgres(lambda: connect(url))) as db:
        for contact_id, own in PEOPLE.items():
            insert_one(db, ORG, contact_id, *own)
        yield db


@pytest.mark.parametrize(("condition", "who"), ROWS)
def test_an_example_selects_whom_the_page_says(filled: Postgres, condition: str, who: str) -> None:
    right = {"Ada": {ADA}, "Bob": {BOB}, "Ada, Bob": {ADA, BOB}, "": set()}[who.strip()]
    document = json.dumps({"operator": "and", "conditions": [json.loads(condition)]})
    criteria = parse(document, Catalog())
    zone = ZoneInfo("UTC")
    assert {own for own in PEOPLE if matches(criteria, PEOPLE[own][0], NOW, zone)} == right
    compiled = compile_criteria(criteria)
    rows = filled.rows(
        compiled.statement("verdicts"),
        **compiled.parameters, t=NOW, zone="UTC", organization_id=ORG,
    )  # fmt: skip
    assert {row["contact_id"] for row in rows if row["matches"]} == right


def test_the_page_has_examples_and_its_group_is_valid() -> None:
    assert len(ROWS) > 20
    [group] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert parse(group, Catalog()).operator == "and"
