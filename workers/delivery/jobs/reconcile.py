"""Look for evidence about calls with an unknown outcome."""

from __future__ import annotations

from delivery.domain.claims import mode_of
from delivery.domain.messages import Reconcile
from delivery.queues import JOBS
from delivery.sending.bindings import BINDINGS
from delivery.sending.reconciling import reconcile
from shared import Done, MessageJob, Ports

CONTINUED_AFTER_S = 60


async def reconcile_call(message: Reconcile, ports: Ports) -> Done:
    """Ask the provider about the uncertain messages of a call, at most twenty at once.

    SQL: `reconcile.sql` (`uncertain_of_call`, `repeatable_request`, `settle_repetition`).
    """
    if mode_of(ports.settings.get("DELIVERY_MODE")) != "live":
        return Done()
    data = message.data
    if await reconcile(data.organization_id, data.call_id, ports):
        await ports.queue.send([message.body()], delay_s=CONTINUED_AFTER_S)
    return Done(organization_id=str(data.organization_id))


JOB = MessageJob(
    message=Reconcile,
    handler=reconcile_call,
    transaction=False,
    queues=(JOBS.name,),
    bindings=BINDINGS,
)
