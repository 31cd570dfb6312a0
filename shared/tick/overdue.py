"""Report overdue and recovered schedules: one alert per job and tick, with a count."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby

from shared.ports import Ports, Row
from shared.telemetry import notify
from shared.telemetry.redaction import safe_text
from shared.tick.claims import Claim, window_of


async def report(claimed: Claim, tick: datetime, ports: Ports) -> None:
    """Log and post the findings of a tick."""
    for job_type, rows in _by_type(claimed.skipped):
        windows = [window_of(row) for row in rows]
        span = f"{min(windows).start.isoformat()} to {max(windows).end.isoformat()}"
        ports.log("dispatch.skipped", level="error", type=job_type, count=len(windows), window=span)
    for job_type, rows in _by_type(claimed.late):
        oldest = min(rows, key=lambda row: row["window_start"])
        failed = next((row for row in rows if row["error_class"]), oldest)
        await notify.send(
            "job.overdue",
            ports,
            type=job_type,
            count=len(rows),
            window=str(window_of(oldest)),
            status=oldest["status"],
            overdue_s=round((tick - oldest["scheduled_for"]).total_seconds()),
            error_class=failed["error_class"],
            error=safe_text(failed["error_class"] or "", failed["error_text"] or ""),
        )
    for row in claimed.recovered:
        await notify.send(
            "job.recovered",
            ports,
            level="info",
            type=row["job_type"],
            count=row["missed_windows"],
            overdue_s=round((tick - row["overdue_since"]).total_seconds()),
        )


def _by_type(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    ordered = sorted(rows, key=lambda row: row["job_type"])
    return [
        (job_type, list(group)) for job_type, group in groupby(ordered, lambda row: row["job_type"])
    ]
