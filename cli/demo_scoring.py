"""The demo's scores: what the Hillstrom shop knows of its customers, as fit and as signals."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from uuid import UUID

from cli.importer import RETAILER
from cli.output import print_table
from scoring import store
from scoring.parts import Part
from shared.ports import Database, Row
from shared.sql_blocks import SqlBlocks

SQL = SqlBlocks(Path(__file__).parent / "sql")

VISIT = "page_visited"
PURCHASE = "conversion"


def map_customers(db: Database, organization_id: UUID = RETAILER) -> int:
    """Map `history_segment`, `channel` and newcomers to custom fields, visits and purchases to
    signals. Can be repeated. How many signals are new; the contacts wait in the backlog then."""
    with db.transaction():
        db.execute(SQL["map_customers"], organization_id=organization_id)
        return db.execute(
            SQL["map_signals"],
            organization_id=organization_id,
            visit_type=VISIT,
            purchase_type=PURCHASE,
        )


def score_customers(db: Database, t: datetime) -> int:
    """What scoring.BatchRecompute does, without a queue: score whoever waits, at `t`; how many."""
    scored = 0
    while True:
        with db.transaction():
            done = store.recompute_backlog(db, Part(), t)
        scored += done.rows_written
        if done.rows_written == 0:
            return scored


def grades(db: Database, organization_id: UUID = RETAILER) -> list[Row]:
    """How many customers have which grade."""
    return db.rows(SQL["grades"], organization_id=organization_id)


def best(db: Database, organization_id: UUID = RETAILER, limit: int = 10) -> list[Row]:
    """The highest scores, and what contributes to them."""
    rows = db.rows(SQL["best_scores"], organization_id=organization_id, limit=limit)
    return [
        {
            "contact": row["contact_id"],
            "score": row["score"],
            "grade": row["grade"],
            "contributors": _listed(row["top_contributors"]),
        }
        for row in rows
    ]


def print_scores(db: Database) -> None:
    """The distribution of grades, and the top ten with their contributors."""
    print_table("grades of Hillstrom's customers", grades(db))
    print_table("the ten highest scores", best(db))


def _listed(contributors: list[Row]) -> str:
    return ", ".join(f"{one['factor']} {one['points']:g}" for one in contributors)
