"""The demo's segments: the worker builds them, and their members are compared with the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid5

from journeys.worker import WORKER
from mauntic.demo.checks import Check, format_pair
from mauntic.demo.importer import NAMESPACE, RETAILER, Customer
from mauntic.demo.waiting import TIMEOUT_S, wait_until
from mauntic.local.control_client import LocalRuntime
from mauntic.operations.statements import SQL
from shared.adapters.postgres.client import Postgres

WOKEN_AT = datetime(2019, 12, 2, tzinfo=UTC)  # the first window of the job that begins builds
WOKEN_EVERY = timedelta(minutes=5)
GOOD_CUSTOMER = 1_000  # US dollars a year


@dataclass(frozen=True)
class Segment:
    """Criteria, and the same in Python over a row of the file."""

    name: str
    criteria: Mapping[str, Any]
    has: Callable[[Customer], bool]

    @property
    def id(self) -> UUID:
        return uuid5(NAMESPACE, f"segment/{self.name}")


def _group(operator: str, *conditions: Mapping[str, Any]) -> dict[str, Any]:
    return {"operator": operator, "conditions": list(conditions)}


def _field(name: str, operator: str, value: Any) -> dict[str, Any]:
    return {"field": f"custom.{name}", "operator": operator, "value": value}


BEST = Segment(
    "best customers with a men's e-mail",
    _group(
        "and", _field("history", "gte", GOOD_CUSTOMER), _field("test_segment", "eq", "Mens E-Mail")
    ),
    lambda customer: customer.history >= GOOD_CUSTOMER and customer.segment == "Mens E-Mail",
)
SEGMENTS: tuple[Segment, ...] = (
    Segment(
        "men's e-mail",
        _group("and", _field("test_segment", "eq", "Mens E-Mail")),
        lambda customer: customer.segment == "Mens E-Mail",
    ),
    Segment(
        "women's e-mail",
        _group("and", _field("test_segment", "eq", "Womens E-Mail")),
        lambda customer: customer.segment == "Womens E-Mail",
    ),
    Segment(
        "no e-mail",
        _group("and", _field("test_segment", "eq", "No E-Mail")),
        lambda customer: customer.segment == "No E-Mail",
    ),
    Segment(
        "over 500 dollars, men's goods or new",
        _group(
            "and",
            _field("history", "gte", 500),
            _group("or", _field("bought_mens", "eq", True), _field("is_new", "eq", True)),
        ),
        lambda customer: customer.history >= 500 and (customer.bought_mens or customer.is_new),
    ),
    Segment(
        "not by web alone, within three months",
        _group("and", _field("channel", "neq", "Web"), _field("recency_months", "lte", 3)),
        lambda customer: customer.channel != "Web" and customer.recency_months <= 3,
    ),
    BEST,
)


def check_segments(
    database: Postgres, runtime: LocalRuntime, customers: Iterable[Customer]
) -> Check:
    """Let the worker build every segment, and compare its members with the file."""
    build(database, runtime, SEGMENTS)
    rows = database.rows(
        SQL["demo_segment_members"], segment_ids=[segment.id for segment in SEGMENTS]
    )
    found = {row["id"]: (row["members"], row["contact_count"]) for row in rows}
    everyone = list(customers)
    compared = []
    for segment in SEGMENTS:
        expected = {customer.id for customer in everyone if segment.has(customer)}
        members, count = found[segment.id]
        compared.append(
            {
                "segment": segment.name,
                "members": format_pair(count, len(expected)),
                "equal": {UUID(member) for member in members} == expected
                and count == len(expected),
            }
        )
    title = "Segments, compared with the file"
    return Check(title, compared, all(row["equal"] for row in compared))


def build(database: Postgres, runtime: LocalRuntime, segments: Sequence[Segment]) -> None:
    """Store the segments, and wake the worker until they are built."""
    stored = [
        {"id": str(segment.id), "name": segment.name, "criteria": segment.criteria}
        for segment in segments
    ]
    with database.transaction():
        database.execute(
            SQL["demo_segments"], organization_id=RETAILER, segments=json.dumps(stored)
        )
    ids, windows = [segment.id for segment in segments], count()

    def are_built() -> bool:
        planned = WOKEN_AT + WOKEN_EVERY * next(windows)
        body = {"type": "journey.wake-due", "scheduledFor": planned.isoformat()}
        runtime.control.send(WORKER.main_queue.name, [body])
        runtime.control.wait_idle([WORKER.main_queue.name], timeout_s=TIMEOUT_S)
        [unbuilt] = database.rows(SQL["demo_unbuilt_segments"], segment_ids=ids)
        return not unbuilt["segments"]

    wait_until(are_built, "The segments were not built")
