"""Start a campaign, and insert its messages part by part."""

from __future__ import annotations

from delivery.campaigns.fan_out import insert_part, unknown
from delivery.campaigns.progress import body
from delivery.campaigns.start import start
from delivery.domain.messages import SendCampaign
from delivery.queues import JOBS
from delivery.sending.bindings import BINDINGS
from shared import Dead, Done, MessageJob, Ports


async def send_campaign(message: SendCampaign, ports: Ports) -> Done | Dead:
    """Start the run of a campaign in parts; with `part` insert the messages of one.

    SQL: `campaigns.sql` (`start_run`), `fan_out.sql` (`insert_recipients`). It can be repeated.
    """
    key = (message.data.organization_id, message.data.campaign_id)
    if message.data.part is not None:
        return await insert_part(key, message.data.part, ports)
    parts = start(key, ports)
    if parts is None:
        return unknown(key)
    if parts:
        await ports.queue.send([body(key, part.number) for part in parts])
    return Done(organization_id=str(key[0]))


JOB = MessageJob(
    message=SendCampaign,
    handler=send_campaign,
    transaction=False,
    queues=(JOBS.name,),
    bindings=BINDINGS,
)
