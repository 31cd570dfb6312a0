"""Evaluate the contacts of the backlog for all segments of their organization."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from journeys.segments.report import report_failed, report_invalid
from journeys.store import evaluation, segments
from journeys.store.evaluation import Claim
from journeys.store.segments import Organization, Segment
from journeys.store.statements import SQL
from shared.errors import DatabaseError
from shared.ledger.shards import FIRST_UUID, KeyRange
from shared.outcome import Done
from shared.ports import Ports


@dataclass
class _Evaluated:
    """What one transaction has done."""

    done: list[Segment] = field(default_factory=list)
    failed: list[Segment] = field(default_factory=list)
    rows_written: int = 0


def evaluate_range(keys: KeyRange, window_end: datetime, ports: Ports) -> Done:
    """Evaluate the backlog's contacts of a range, in transactions of some contacts each."""
    read = written = 0
    for row in evaluation.backlog(ports.db, keys):
        organization_id: UUID = row["organization_id"]
        first, until = _contacts(keys, organization_id)
        while True:
            with ports.db.transaction():
                own = evaluation.claim(
                    ports.db, organization_id, first, until, evaluation.CHUNK_CONTACTS
                )
                if own is None:
                    break
                written += _evaluate(own, window_end, ports)
            read += own.count
            first = UUID(int=own.last.int + 1)
    return Done(read, written)


def _contacts(keys: KeyRange, organization_id: UUID) -> tuple[UUID, UUID | None]:
    """Return the contacts of one organization that belong to a range."""
    first = keys.first[1] if keys.first[0] == organization_id else FIRST_UUID
    until = keys.until[1] if keys.until and keys.until[0] == organization_id else None
    return first, until


def _evaluate(own: Claim, window_end: datetime, ports: Ports) -> int:
    """Evaluate claimed contacts for every segment of their organization that is ready."""
    t = evaluation.time_of_run(ports.db, window_end)
    organization = segments.load(ports.db, own.organization_id)
    t = organization.latest(t)
    ports.db.rows(SQL["take_over_members"])
    evaluated = _Evaluated()
    for segment in organization.segments:
        if segment.problem is not None:
            report_invalid(segments.invalidate(ports.db, [segment]), organization.id, ports)
        elif segment.state == "ready":
            _evaluate_segment(segment, own, organization, t, evaluated, ports)
    evaluation.settle(ports.db, own, evaluated.done, t)
    report_invalid(evaluation.fail(ports.db, evaluated.failed, window_end), organization.id, ports)
    return evaluated.rows_written


def _evaluate_segment(
    segment: Segment,
    own: Claim,
    organization: Organization,
    t: datetime,
    evaluated: _Evaluated,
    ports: Ports,
) -> None:
    """Evaluate one segment. Its failure undoes its own statement alone."""
    parameters = {**own.parameters(), "t": t, "zone": organization.zone}
    ports.db.ahead("savepoint segment")
    try:
        change = evaluation.evaluate(ports.db, segment, "chosen_backlog", parameters)
    except DatabaseError as error:
        ports.db.execute("rollback to savepoint segment")
        evaluated.failed.append(segment)
        report_failed(segment.id, organization.id, error, ports)
        return
    ports.db.ahead("release savepoint segment")
    if change is not None:
        evaluated.done.append(segment)
        evaluated.rows_written += change.entered + change.left
