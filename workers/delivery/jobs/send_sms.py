"""Send text messages."""

from __future__ import annotations

from collections.abc import Sequence

from delivery.domain.messages import SendSms
from delivery.queues import SMS
from delivery.sending.batch import hold, reopen, send
from delivery.sending.bindings import BINDINGS
from shared import BatchJob, Dead, Done, Ports, RetryIn


async def send_sms(messages: Sequence[SendSms], ports: Ports) -> list[Done | RetryIn | Dead]:
    """Send text messages through their organization's provider.

    SQL: `claim.sql` (`decide`), `call.sql` (`begin_call`); the steps are in `sending/lane.py`.
    """
    return await send("sms", messages, ports)


JOB = BatchJob(
    message=SendSms,
    handler=send_sms,
    queues=(SMS.name,),
    transaction=False,
    on_dead=hold,
    on_redrive=reopen,
    bindings=BINDINGS,
)
