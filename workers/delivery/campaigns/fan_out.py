"""One part of a run: insert its messages, and start to send them."""

from __future__ import annotations

from datetime import UTC, timedelta

from delivery.domain.address import parse_mailbox
from delivery.domain.campaigns import Run
from delivery.sending.feeding import feed
from delivery.store import fan_out
from delivery.store.campaigns import Key
from shared.outcome import Dead, Done
from shared.ports import Ports
from shared.warmup.counters import WarmingDomain

ONE_DAY = timedelta(days=1)


async def insert_part(key: Key, number: int, ports: Ports) -> Done | Dead:
    """Insert the messages of a part. Done too if the part is done, or another run has it."""
    now = ports.clock()
    run = fan_out.run_of_part(ports.db, key, number)
    if run is None:
        return Done() if fan_out.exists(ports.db, key) else unknown(key)
    inserted = fan_out.insert_part(ports.db, run, number, now)
    if inserted is None:
        return Done()
    ports.log(
        "campaign.part_inserted",
        organization_id=str(run.organization_id),
        campaign_id=str(run.campaign_id),
        count=inserted.messages,
    )
    if inserted.recipients is not None:
        _warn_of_warmup(run, inserted.recipients, ports)
    await feed(run.channel, ports)
    return Done(inserted.members, inserted.members, str(run.organization_id))


def unknown(key: Key) -> Dead:
    text = f"organization {key[0]} has no campaign {key[1]}"
    return Dead("unknown_campaign", "UnknownCampaign", text)


def _warn_of_warmup(run: Run, recipients: int, ports: Ports) -> None:
    """Report a run with more recipients than the warm-up of its domain permits in time."""
    mailbox = parse_mailbox(run.sender) if run.sender else None
    if mailbox is None:
        return
    domain = mailbox.address.rpartition("@")[2]
    created_at = fan_out.domain_created_at(ports.db, run.organization_id, domain)
    if created_at is None:
        return
    granted = _granted(WarmingDomain(run.organization_id, domain, created_at), run, ports)
    if granted is not None and recipients > granted:
        ports.log(
            "campaign.warmup_short",
            level="warning",
            organization_id=str(run.organization_id),
            campaign_id=str(run.campaign_id),
            count=recipients - granted,
        )


def _granted(domain: WarmingDomain, run: Run, ports: Ports) -> int | None:
    """Return how many messages the warm-up permits until they expire; None without a limit."""
    now = ports.clock()
    day, last = now.astimezone(UTC).date(), run.expires_at(now).astimezone(UTC).date()
    total = 0
    while day <= last:
        cap = domain.cap(day)
        if cap is None:
            return None
        total, day = total + cap, day + ONE_DAY
    return total
