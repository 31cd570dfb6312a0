"""Report each table's retention period and the rows that ticks will delete."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mauntic.errors import OperatorError
from mauntic.operations.statements import SQL
from shared.ports import Database, Row
from shared.settings import Settings
from shared.tick.retention import RETENTION_PERIODS, bounds


def report(db: Database, settings: Settings, now: datetime) -> Sequence[Row]:
    """Return a row for each table with a retention period, in the order of the list."""
    try:
        before = bounds(settings, now)
        periods = {kept.table: kept.period(settings) for kept in RETENTION_PERIODS}
    except ValueError as error:
        raise OperatorError(f"{error}.") from None
    counted = {row["table_name"]: row for row in db.rows(SQL["retention_report"], **before)}
    return [
        {
            "table": kept.table,
            "rows": counted[kept.table]["rows"],
            "oldest": counted[kept.table]["oldest"],
            "days": period.days if (period := periods[kept.table]) else "never",
            "counted from": kept.since,
            "to go": counted[kept.table]["due"],
            "setting": kept.setting,
        }
        for kept in RETENTION_PERIODS
    ]
