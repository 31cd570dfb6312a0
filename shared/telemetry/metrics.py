"""Analytics Engine points: one per message, with a log line, and one per fold of the feed."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple

from shared.ports import Ports
from shared.telemetry.redaction import describe_error

EVENT = "queue.metric"

# The order of the columns in Analytics Engine: blob1 is the event, double1 the attempts, and so on.
BLOBS = ("event", "worker", "type", "status", "error_class", "organization_id", "trigger", "queue")
DOUBLES = ("attempts", "duration_ms", "lag_ms", "rows_read", "rows_written")

# The columns of a point of the change feed, in the same dataset.
FEED_EVENT = "feed.depth"
FEED_BLOBS = ("event", "consumer")
FEED_DOUBLES = ("count", "age_s")


class Metric(NamedTuple):
    """Measurements of one settled message. `status` is ack, retry or dead."""

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
    """Write the point, indexed by queue, and the log line, which has more fields."""
    write_point(metric.queue, [EVENT, *_texts(metric)], _numbers(metric), ports)
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


def write_feed(consumer: str, count: int, age_s: int, ports: Ports) -> None:
    """Write the number of a consumer's rows in the change feed, and the age of the oldest.

    The point is indexed by the consumer. Both are 0 for an empty feed.
    """
    write_point(consumer, [FEED_EVENT, consumer], (count, age_s), ports)


def write_point(index: str, blobs: list[str], doubles: Iterable[float], ports: Ports) -> None:
    """Write a point. Never raises: the measured work is done, whether or not this succeeds."""
    try:
        ports.write_point(index, blobs, [float(number) for number in doubles])
    except Exception as lost:
        ports.log("metric.write_failed", level="warning", queue=index, error=describe_error(lost))
