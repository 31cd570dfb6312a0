"""The SQL of criteria means what the plain Python means, and no value is part of its text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeys.domain.parse import parse
from journeys.reference.criteria import Facts, matches, recheck_at
from journeys.store.criteria_sql import compile_criteria
from mauntic.database.embedded.server import Server
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from tests.scratch import scratch_database
from tests.thorough import examples
from tests.workers.journeys.segments.documents import CATALOG, documents, leaf_documents
from tests.workers.journeys.segments.people import (
    ORG,
    STEPS,
    ZONES,
    T,
    facts,
    insert,
    insert_surroundings,
)

PEOPLE = {UUID(int=1_000 + n): facts(Random(n)) for n in range(150)}
# Also the moments before and after the clocks of New York, Havana and Cairo change, and a leap day.
NOW = st.sampled_from([
    T, *(T + step for step in STEPS), *(T - step for step in STEPS),
    datetime(2026, 3, 8, 4, 59, 59, 999999, tzinfo=UTC), datetime(2026, 3, 8, 5, tzinfo=UTC),
    datetime(2026, 11, 1, 4, tzinfo=UTC), datetime(2026, 11, 1, 4, 30, tzinfo=UTC),
    datetime(2026, 11, 1, 5, tzinfo=UTC), datetime(2026, 10, 29, 21, tzinfo=UTC),
    datetime(2028, 2, 29, 12, tzinfo=UTC), datetime(2027, 2, 28, 12, tzinfo=UTC),
])  # fmt: skip


@pytest.fixture(scope="module")
def filled(postgres: Server, migrated: str) -> Iterator[Postgres]:
    with scratch_database(postgres, migrated) as url, closing(Postgres(lambda: connect(url))) as db:
        with db.transaction():
            insert_surroundings(db)
            insert(db, [(contact_id, *own) for contact_id, own in PEOPLE.items()])
        yield db


@given(documents, NOW, st.sampled_from(ZONES))
@settings(max_examples=examples(600))
def test_the_statement_and_plain_python_agree(
    filled: Postgres, document: str, t: datetime, zone: str
) -> None:
    criteria = parse(document, CATALOG)
    compiled = compile_criteria(criteria)
    rows = filled.rows(
        compiled.statement("verdicts"),
        **compiled.parameters, t=t, zone=zone, organization_id=ORG,
    )  # fmt: skip
    found = {row["contact_id"]: (row["matches"], row["recheck_at"]) for row in rows}
    tz = ZoneInfo(zone)
    assert found == {
        contact_id: (matches(criteria, own, t, tz), recheck_at(criteria, own, t, tz))
        for contact_id, (own, _) in PEOPLE.items()
    }


def interesting(own: Facts, t: datetime) -> list[datetime]:
    """Moments after `t` at which something of a contact may change: each time, a span later or
    earlier, and every quarter of an hour of two days."""
    times = [event.occurred_at for event in own.events]
    times += [time for time in own.columns.values() if isinstance(time, datetime)]
    spans = [n * unit for n in (1, 3, 7, 30) for unit in (timedelta(minutes=1), timedelta(hours=1),
             timedelta(days=1), timedelta(days=7))]  # fmt: skip
    edges = {time + sign * span for time in times for span in spans for sign in (-1, 0, 1)}
    grid = {t + timedelta(minutes=15 * n) for n in range(192)}
    return sorted(moment for moment in edges | grid if moment > t)


@given(leaf_documents, NOW, st.sampled_from(ZONES), st.sampled_from(list(PEOPLE)))
@settings(max_examples=examples(2_000))
def test_nothing_changes_before_the_next_moment(
    document: str, t: datetime, zone: str, contact_id: UUID
) -> None:
    criteria, (own, _), tz = parse(document, CATALOG), PEOPLE[contact_id], ZoneInfo(zone)
    until = recheck_at(criteria, own, t, tz)
    assert until is None or until > t
    before = matches(criteria, own, t, tz)
    for moment in interesting(own, t):
        if until is not None and moment >= until:
            break
        assert matches(criteria, own, moment, tz) == before, moment


@given(documents)
@settings(max_examples=examples(200))
def test_the_text_depends_on_names_and_operators_alone(one: str) -> None:
    """Every key, type and value is replaced by a hostile one: the text stays."""
    criteria = parse(one, CATALOG)
    compiled = compile_criteria(criteria)
    hostile = json.loads(one)

    def spoil(node: dict[str, object]) -> None:
        for inner in node.get("conditions", ()):  # type: ignore[attr-defined]
            spoil(inner)
        if "event" in node:
            node["event"] = "'; drop table crm.contacts; --"
        if str(node.get("field", "")).startswith("custom."):
            key = str(node["field"]).removeprefix("custom.")
            if key not in CATALOG.field_types:
                node["field"] = "custom.'||:value_1||$1{x}\\"
        if isinstance(node.get("value"), str) and str(node.get("operator")) in (
            "contains",
            "starts_with",
        ):
            node["value"] = "{matches} ' || :t -- "

    spoil(hostile)
    spoiled = compile_criteria(parse(json.dumps(hostile), CATALOG))
    assert (spoiled.matches, spoiled.recheck_at) == (compiled.matches, compiled.recheck_at)
