"""Close the alerts that nobody took up in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from scoring.store import statements
from shared.flow.window_run import Run
from shared.jobs import Job
from shared.messages import WindowMessage
from shared.outcome import Done
from shared.windows import Schedule, quarter_hour_before


class AlertExpiry(WindowMessage):
    type: Literal["scoring.AlertExpiry"] = "scoring.AlertExpiry"


async def alert_expiry(run: Run) -> Done:
    """Expire the open alerts whose deadline came by the end of the window."""
    expired = statements.expire_alerts(run.ports.db, run.window.end)
    return Done(rows_read=expired, rows_written=expired)


JOB = Job(
    message=AlertExpiry,
    handler=alert_expiry,
    schedule=Schedule("*/15 * * * *", window_of=quarter_hour_before, grace=timedelta(minutes=15)),
)
