"""Every five minutes: what no consumer will finish, what was paused, what is too late."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from delivery.campaigns.progress import sweep_campaigns
from delivery.domain.messages import Reconcile
from delivery.feedback.sweeping import sweep as sweep_feedback
from delivery.queues import JOBS
from delivery.sending.alerting import alert
from delivery.sending.feeding import BINDINGS, feed
from delivery.store import reconciling, sweeps
from shared import Done, Ports, Run, Schedule, WindowJob, WindowMessage, five_minutes_before
from shared.telemetry.delivery_metrics import write_gauge

CALLS_MAX = 1_000  # calls whose outcome is looked for in one run; the next run sends more


class Sweep(WindowMessage):
    type: Literal["delivery.sweep"] = "delivery.sweep"


async def sweep(run: Run) -> Done:
    """Return stalled messages, end what is too late, move campaigns on, and feed the queues.

    SQL: `sweep.sql` (`sweep_sending`, `sweep_lapsed`, `sweep_uncertain`, `sweep_expired`),
    `unmatched.sql`, `reputation.sql`.
    It makes no call to a provider.
    """
    ports, written = run.ports, 0
    for name in sweeps.SWEEPS:
        written += sweeps.sweep(ports.db, name, ports.clock())
    written += await sweep_campaigns(ports)
    for channel in BINDINGS:
        written += await feed(channel, ports)
    await _look_up(ports)
    for gauge in sweeps.gauges(ports.db, ports.clock()):
        if gauge.gauge == "open" and gauge.count:
            ports.log("delivery.open", type=gauge.channel, status=gauge.state, count=gauge.count)
        write_gauge(gauge, ports)
    await alert(ports)
    written += await sweep_feedback(run.window, ports)
    return Done(written, written)


async def _look_up(ports: Ports) -> None:
    """Send what looks for the outcome of unknown calls, all in one request to the queue."""
    due = reconciling.due_calls(ports.db, CALLS_MAX, ports.clock())
    bodies = [
        Reconcile.model_validate({"data": {"organizationId": organization, "callId": call}}).body()
        for organization, call in due
    ]
    if bodies:
        await ports.queue.send(bodies)


JOB = WindowJob(
    message=Sweep,
    handler=sweep,
    schedule=Schedule("*/5 * * * *", five_minutes_before, grace=timedelta(minutes=30), catch_up=1),
    transaction=False,
    queues=(JOBS.name,),
)
