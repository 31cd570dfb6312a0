"""Send push messages."""

from __future__ import annotations

from collections.abc import Sequence

from delivery.domain.messages import SendPush
from delivery.queues import PUSH
from delivery.sending.batch import hold, reopen, send
from delivery.sending.bindings import BINDINGS
from shared import BatchJob, Dead, Done, Ports, RetryIn


async def send_push(messages: Sequence[SendPush], ports: Ports) -> list[Done | RetryIn | Dead]:
    """Send push messages through their organization's provider.

    SQL: `claim.sql` (`decide`), `call.sql` (`begin_call`); the steps are in `sending/lane.py`.
    """
    return await send("push", messages, ports)


JOB = BatchJob(
    message=SendPush,
    handler=send_push,
    queues=(PUSH.name,),
    transaction=False,
    on_dead=hold,
    on_redrive=reopen,
    bindings=BINDINGS,
)
