"""Analytics Engine points of deliveries: verdicts of providers, and gauges of each sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from shared.ports import Ports
from shared.telemetry.metrics import write_point

VERDICT_EVENT = "delivery.verdict"
GAUGE_EVENT = "delivery.gauge"

# The columns in Analytics Engine, as in metrics.py. A point of verdicts counts the messages of one
# call that have the same verdict and code: a batch of 100 messages never needs 250 points.
VERDICT_BLOBS = ("event", "channel", "provider", "verdict", "code", "organization_id")
VERDICT_DOUBLES = ("count", "duration_ms")
GAUGE_BLOBS = ("event", "gauge", "channel", "state")
GAUGE_DOUBLES = ("count", "age_s")


@dataclass(frozen=True)
class Call:
    """What the verdicts of one call have in common."""

    channel: str
    provider: str
    organization_id: str
    duration_ms: float


@dataclass(frozen=True)
class Gauge:
    """A number at the time of a sweep. `age_s` is the age of the oldest message that it counts."""

    gauge: str
    channel: str
    state: str
    count: int
    age_s: int = 0


def write_verdicts(call: Call, verdicts: Iterable[tuple[str, str]], ports: Ports) -> None:
    """Write the verdicts of a call, each a kind and a code. The points are indexed by provider."""
    for (kind, code), count in sorted(Counter(verdicts).items()):
        blobs = [VERDICT_EVENT, call.channel, call.provider, kind, code, call.organization_id]
        write_point(call.provider, blobs, (count, call.duration_ms), ports)


def write_gauge(gauge: Gauge, ports: Ports) -> None:
    """Write a gauge. The point is indexed by the channel."""
    blobs = [GAUGE_EVENT, gauge.gauge, gauge.channel, gauge.state]
    write_point(gauge.channel, blobs, (gauge.count, gauge.age_s), ports)
