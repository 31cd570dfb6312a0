"""Report the configurations that keep messages from being sent."""

from __future__ import annotations

from delivery.store import alerts
from shared.ports import Ports
from shared.telemetry import notify

ALERTS_MAX = 20  # of one sweep: each is a request; the next sweep reports the others


async def alert(ports: Ports) -> None:
    """Report each problem once an hour, with the number of messages that wait."""
    for own in alerts.claim_alerts(ports.db, ALERTS_MAX, ports.clock()):
        await notify.send(
            "delivery.config_problem",
            ports,
            organization_id=None if own.organization_id is None else str(own.organization_id),
            config_id=None if own.config_id is None else str(own.config_id),
            type=own.provider or own.channel,
            status=own.problem,
            reason=own.reason,
            count=own.waiting,
        )
