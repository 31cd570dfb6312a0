"""Expire the alerts that were not acknowledged in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from scoring.store import statements
from shared import Done, Run, Schedule, WindowJob, WindowMessage, quarter_hour_before


class AlertExpiry(WindowMessage):
    type: Literal["scoring.AlertExpiry"] = "scoring.AlertExpiry"


async def alert_expiry(run: Run) -> Done:
    """Expire the open alerts with a deadline before the end of the window.

    SQL: `alerts.sql` (`expire_alerts`).
    """
    expired = statements.expire_alerts(run.ports.db, run.window.end)
    return Done(rows_read=expired, rows_written=expired)


JOB = WindowJob(
    message=AlertExpiry,
    handler=alert_expiry,
    schedule=Schedule("*/15 * * * *", window_of=quarter_hour_before, grace=timedelta(minutes=15)),
)
