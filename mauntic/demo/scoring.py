"""The demo's scores: the Hillstrom customers as contacts with fit and signals.

A year's spending replaces the size of a company, the channel replaces seniority, and a customer who
is not new has a direct number. A visit is a WEBSITE_VISIT; a purchase has the weight of a
DEMO_REQUEST.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from uuid import UUID

from mauntic.demo.checks import Check, format_pair
from mauntic.demo.expected_scores import grade_of
from mauntic.demo.importer import RETAILER
from mauntic.operations.statements import SQL
from shared.ports import Database, Row

VISIT = "page_visited"
PURCHASE = "conversion"


def map_customers(db: Database, organization_id: UUID = RETAILER) -> int:
    """Map `history_segment`, `channel` and newcomers to custom fields, visits and purchases to
    signals. Return the number of new signals. Can be repeated; the contacts are in the backlog
    afterwards.
    """
    with db.transaction():
        db.execute(SQL["map_customers"], organization_id=organization_id)
        return db.execute(
            SQL["map_signals"],
            organization_id=organization_id,
            visit_type=VISIT,
            purchase_type=PURCHASE,
        )


def check_scores(db: Database, expected: Mapping[UUID, int]) -> Check:
    """Compare the customers per grade; the check passes if every customer has the expected
    score.
    """
    found = {row["contact_id"]: row for row in db.rows(SQL["scores"], organization_id=RETAILER)}
    has = Counter(row["grade"] for row in found.values())
    must = Counter(grade_of(score) for score in expected.values())
    rows = [
        {"grade": grade, "customers": format_pair(has[grade], must[grade]), **_bounds(found, grade)}
        for grade in sorted(has | must)
    ]
    is_right = {contact: row["score"] for contact, row in found.items()} == expected
    return Check("Grades of the retailer's customers, compared with the file", rows, is_right)


def _bounds(found: Mapping[UUID, Row], grade: str) -> dict[str, int | None]:
    scores = [row["score"] for row in found.values() if row["grade"] == grade]
    return {"lowest": min(scores, default=None), "highest": max(scores, default=None)}


def best(db: Database, organization_id: UUID = RETAILER, limit: int = 10) -> list[Row]:
    """Return the highest scores with their contributors."""
    rows = db.rows(SQL["best_scores"], organization_id=organization_id, limit=limit)
    return [
        {
            "contact": row["contact_id"],
            "score": row["score"],
            "grade": row["grade"],
            "contributors": _format_contributors(row["top_contributors"]),
        }
        for row in rows
    ]


def _format_contributors(contributors: list[Row]) -> str:
    return ", ".join(
        f"{contributor['factor']} {contributor['points']:g}" for contributor in contributors
    )
