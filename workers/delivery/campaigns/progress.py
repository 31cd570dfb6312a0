"""What the sweep does for campaigns: it starts, continues, counts and finishes them."""

from __future__ import annotations

from delivery.domain.messages import SendCampaign
from delivery.store import campaign_counts, campaigns
from delivery.store.campaigns import LATE, Key
from shared.ports import Ports


async def sweep_campaigns(ports: Ports) -> int:
    """Send what starts and continues campaigns; finish and count them. Return the rows changed."""
    now = ports.clock()
    for organization_id, campaign_id in campaigns.refuse_late(ports.db, now):
        ports.log(
            "campaign.refused",
            level="warning",
            organization_id=str(organization_id),
            campaign_id=str(campaign_id),
            reason=LATE.code,
        )
    bodies = [body(key) for key in campaigns.due(ports.db, now)]
    bodies += [body(key, part) for key, part in campaigns.overdue_parts(ports.db, now)]
    if bodies:
        await ports.queue.send(bodies)
    finished = campaigns.finish(ports.db, now)
    for run in finished:
        ports.log(
            "campaign.finished",
            organization_id=str(run["organization_id"]),
            campaign_id=str(run["campaign_id"]),
            status=run["status"],
        )
    return len(finished) + campaign_counts.set_counts(ports.db, now)


def body(key: Key, part: int | None = None) -> dict[str, object]:
    """Return the queue message that starts a campaign or continues one of its parts."""
    data = {"organizationId": key[0], "campaignId": key[1], "part": part}
    return SendCampaign.model_validate({"data": data}).body()
