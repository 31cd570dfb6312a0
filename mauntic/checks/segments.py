"""Recompute the members of every segment, and compare them with what is stored."""

from __future__ import annotations

from collections.abc import Iterator

from journeys.store import segments
from mauntic.checks import Problem
from mauntic.operations.segments import DIFFERENCES_MAX, differences
from mauntic.operations.statements import SQL
from mauntic.project.printable import count_of
from shared.ports import Database

AREA = "segments"


def deep_problems(db: Database) -> Iterator[Problem]:
    """Yield each segment whose members differ from its criteria, or whose count is wrong."""
    for row in db.rows(SQL["organizations_with_segments"]):
        organization = segments.load(db, row["organization_id"])
        for segment in organization.segments:
            if segment.state != "ready" or segment.criteria is None:
                continue
            if found := differences(db, segment, organization):
                number = count_of(len(found), "membership")
                most = "at least " if len(found) == DIFFERENCES_MAX else ""
                yield _problem(segment.id, f"{most}{number} differ from the criteria")
    for row in db.rows(SQL["wrong_counts"]):
        counts = f"contact_count is {row['contact_count']:,}, there are {row['count']:,} members"
        yield _problem(row["id"], counts)


def _problem(segment_id: object, sentence: str) -> Problem:
    return Problem(AREA, str(segment_id), f"{sentence}: `mauntic segments rebuild {segment_id}`")
