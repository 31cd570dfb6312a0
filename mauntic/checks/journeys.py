"""Journeys that no contact enters, and settings without an effect."""

from __future__ import annotations

from collections.abc import Iterator

from mauntic.checks import Problem
from mauntic.operations.statements import SQL
from shared.ports import Database

AREA = "journeys"
MOST = 100
MEANINGS = {
    "unpublished": "it is active and no version is published, so no contact enters it:"
    " `mauntic journeys publish` says what a version lacks",
    "goal": "its settings have a goal, which has no effect yet",
}


def problems(db: Database) -> Iterator[Problem]:
    """Yield the problems of active journeys."""
    for row in db.rows(SQL["journeys_with_problems"], limit=MOST):
        text = MEANINGS.get(row["kind"]) or f"the trigger {row['trigger']}: {row['problem']}"
        yield Problem(AREA, str(row["id"]), text)
