"""Send e-mails."""

from __future__ import annotations

from collections.abc import Sequence

from delivery.domain.messages import SendEmail
from delivery.queues import EMAIL
from delivery.sending.batch import hold, reopen, send
from delivery.sending.bindings import BINDINGS
from shared import BatchJob, Dead, Done, Ports, RetryIn


async def send_email(messages: Sequence[SendEmail], ports: Ports) -> list[Done | RetryIn | Dead]:
    """Send e-mails through their organization's provider.

    SQL: `claim.sql` (`decide`), `call.sql` (`begin_call`); the steps are in `sending/lane.py`.
    """
    return await send("email", messages, ports)


JOB = BatchJob(
    message=SendEmail,
    handler=send_email,
    queues=(EMAIL.name,),
    transaction=False,
    on_dead=hold,
    on_redrive=reopen,
    bindings=BINDINGS,
)
