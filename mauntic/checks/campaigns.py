"""Campaigns that cannot start, or that say that they are sending and have no run."""

from __future__ import annotations

from collections.abc import Iterator

from mauntic.checks import Problem
from mauntic.operations.statements import SQL
from shared.ports import Database

AREA = "campaigns"
MOST = 100
NO_RUN = (
    "it is sending without a run, so it never ends: `mauntic campaigns start` sends it, `mauntic"
    " campaigns cancel` ends it"
)


def problems(db: Database) -> Iterator[Problem]:
    """Yield a problem for each such campaign."""
    for row in db.rows(SQL["campaigns_with_problems"], limit=MOST):
        yield Problem(AREA, str(row["id"]), row["problem"] or NO_RUN)
