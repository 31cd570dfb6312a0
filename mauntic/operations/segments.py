"""Segments: their state, why a contact is in one or not, and a new build."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from journeys.domain.criteria import EventLeaf, Group, Leaf, leaves
from journeys.store import segments
from journeys.store.criteria_sql import compile_criteria
from journeys.store.segments import Segment
from journeys.store.statements import SQL as JOURNEYS_SQL
from mauntic.errors import OperatorError
from mauntic.operations.required import require_row
from mauntic.operations.statements import SQL
from shared.ports import Database, Row

CHANGES_SHOWN = 10
DIFFERENCES_MAX = 1_000  # of one segment


@dataclass(frozen=True)
class Explanation:
    """What a segment says about a contact at `t`, condition by condition, and what is stored."""

    t: datetime
    matches: bool
    conditions: list[Row]
    stored: Row


def find_segment(db: Database, segment_id: str) -> Row:
    """Return a segment with its state, or raise OperatorError."""
    return require_row(
        db.rows(SQL["segment"], segment_id=segment_id), "segment", segment_id, "segments list"
    )


def changes(db: Database, segment_id: UUID) -> list[Row]:
    """Return the newest changes of the members."""
    return db.rows(SQL["segment_changes"], segment_id=segment_id, limit=CHANGES_SHOWN)


def explain(db: Database, row: Row, contact_id: UUID, t: datetime) -> Explanation:
    """Evaluate each condition of a segment (a row of `find_segment`) for a contact at `t`."""
    stored = db.rows(SQL["membership"], segment_id=row["id"], contact_id=contact_id)[0]
    if row["type"] == "static":
        return Explanation(t, stored["is_member"], [], stored)
    organization = segments.load(db, row["organization_id"])
    segment = organization.find(row["id"], row["criteria_version"])
    if segment is None or segment.criteria is None:
        problem = row["problem"] if segment is None else segment.problem
        raise OperatorError(f"The criteria of segment {row['id']} are not evaluated: {problem}")
    key = {"organization_id": organization.id, "contact_id": contact_id}
    at = {"t": t, "zone": organization.zone}
    conditions = [
        {"condition": described(leaf), **_verdict(db, leaf, {**key, **at})}
        for leaf in leaves(segment.criteria)
    ]
    whole = _verdict(db, segment.criteria, {**key, **at})
    return Explanation(t, whole["holds"], conditions, stored)


def _verdict(db: Database, node: Group | Leaf, parameters: dict[str, Any]) -> Row:
    compiled = compile_criteria(node)
    rows = db.rows(compiled.statement("explain"), **compiled.parameters, **parameters)
    if not rows:
        raise OperatorError("The contact belongs to another organization than the segment.")
    [row] = rows
    return {"value": row["value"], "holds": row["matches"], "can_change_at": row["recheck_at"]}


def described(leaf: Leaf) -> str:
    """Return a condition in words.

    >>> described(EventLeaf("email_opened", None, 86_400, True, 2))
    'not: email_opened at least 2 within 1 day, 0:00:00'
    """
    denied = "not: " if leaf.negated else ""
    if isinstance(leaf, EventLeaf):
        counts = ", ".join(map(str, leaf.counts))
        number = f"in {counts}" if leaf.least is None else f"at least {leaf.least}"
        within = f" within {_span(leaf.last_s)}" if leaf.last_s else ""
        return f"{denied}{leaf.event} {number}{within}"
    field = f"custom.{leaf.key}" if leaf.key else leaf.field
    words = [*map(str, leaf.values), *([_span(leaf.span_s)] if leaf.span_s else [])]
    return f"{denied}{field} {leaf.operator} {', '.join(words)}".rstrip()


def _span(seconds: int) -> str:
    return str(timedelta(seconds=seconds))


def rebuild(db: Database, segment_id: UUID) -> None:
    """Give the criteria of a dynamic segment a new version, for which it is built; count the
    members of a static one.
    """
    if not db.rows(JOURNEYS_SQL["rebuild"], segment_id=segment_id):
        db.execute(JOURNEYS_SQL["recount"], segment_id=segment_id)


def differences(db: Database, segment: Segment, organization: segments.Organization) -> list[Row]:
    """Return contacts whose membership differs from the criteria at the newest evaluation."""
    compiled = segment.compiled()
    return db.rows(
        compiled.statement("differences"),
        **compiled.parameters,
        t=organization.evaluated_at,
        zone=organization.zone,
        organization_id=organization.id,
        segment_id=segment.id,
        rows_max=DIFFERENCES_MAX,
    )
