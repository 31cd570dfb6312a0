"""One Analytics Engine point and one log line a message: `event = "queue.metric"`."""

from __future__ import annotations

from operator import attrgetter
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


_texts, _numbers = attrgetter(*BLOBS[1:]), attrgetter(*DOUBLES)


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
    try:
        ports.write_point(
            metric.queue, [EVENT, *_texts(metric)], [float(number) for number in _numbers(metric)]
        )
    except Exception as lost:  # measuring must not decide over a message that is settled already
        ports.log(
            "metric.unwritten",
            level="warning",
            queue=metric.queue,
            error=told(lost),
        )
    level = {"ack": "info", "retry": "warning", "dead": "error"}[metric.status]
    facts = zip(Metric._fields, metric, strict=True)
    fields = {name: value for name, value in facts if value != ""}
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
