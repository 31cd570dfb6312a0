"""Analytics Engine points of journeys."""

from __future__ import annotations

from shared.ports import Ports
from shared.telemetry.metrics import write_point

STALE_EVENT = "journey.stale"

# The columns in Analytics Engine, as in metrics.py.
STALE_BLOBS = ("event", "organization_id")
STALE_DOUBLES = ("count",)


def write_stale(organization_id: str, count: int, ports: Ports) -> None:
    """Write how many executions of an organization a night has canceled as stale."""
    write_point(organization_id, [STALE_EVENT, organization_id], (count,), ports)
