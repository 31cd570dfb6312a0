"""One Analytics Engine point and one log line a message: `event = "queue.metric"`."""

from __future__ import annotations

from typing import NamedTuple

from shared.discreet import told
from shared.ports import Ports

EVENT = "queue.metric"

# The order of the columns in Analytics Engine: blob1 is the event, double1 the attempts, and so on.
BLOBS = ("event", "worker", "type", "status", "error_class", "organization_id", "trigger", "queue")
DOUBLES = ("attempts", "duration_ms", "lag_ms", "rows_read", "rows_written")


class Metric(NamedTuple):
    """What is known of one message when it is settled. `status` is ack, retry or dead."""

    queue: str
    worker: str
    type: str
    status: str
    attempts: int
    duration_ms: float
    lag_ms: float
    rows_read: int = 0
    rows_written: int = 0
    error_class: str = ""
    organization_id: str = ""
    trigger: str = ""


def write(
    metric: Metric,
    ports: Ports,
    message_id: str,
    correlation_id: str | None,
    error: str | None,
    *,
    shard: str = "",
    delay_s: int | None = None,
) -> None:
    """Write the point, indexed by queue, and the line, which says more."""
    facts = metric._asdict()
    known = {"event": EVENT, **facts}
    try:
        ports.write_point(
            metric.queue, [known[name] for name in BLOBS], [float(known[name]) for name in DOUBLES]
        )
    except Exception as lost:  # measuring must not decide over a message that is settled already
        ports.log(
            "metric.unwritten",
            level="warning",
            queue=metric.queue,
            error=told(lost),
        )
    level = {"ack": "info", "retry": "warning", "dead": "error"}[metric.status]
    fields = {name: value for name, value in facts.items() if value != ""}
    ports.log(
        EVENT,
        level=level,
        **fields,
        message_id=message_id,
        correlation_id=correlation_id,
        error=error,
        shard=shard or None,
        delay_s=delay_s,
    )
