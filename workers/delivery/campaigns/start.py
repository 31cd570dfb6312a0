"""Start the run of a campaign, or say why it cannot start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from delivery.campaigns.checks import Deployment, problem_of
from delivery.campaigns.freeze import frozen_content, frozen_metadata
from delivery.domain.campaigns import STARTABLE, Campaign, Problem
from delivery.domain.claims import mode_of
from delivery.domain.outgoing import Channel
from delivery.sending.lane import permitted_types
from delivery.store import campaigns
from delivery.store.campaigns import Key
from shared.errors import SubjectChanged
from shared.ledger import parts
from shared.ledger.parts import Part
from shared.ledger.shards import Bounds
from shared.ports import Database, Ports
from shared.settings import Settings
from shared.unsubscribe_token import keys_of

ALREADY_RUN = Problem(
    "already_run", "this run was sent before: increment the campaign's `run` to send it again"
)


def start(key: Key, ports: Ports) -> list[Part] | None:
    """Start the run of a campaign in one transaction; return its open parts.

    None: there is no such campaign. Without parts there is nothing to do: the campaign is refused,
    waits for its segment, or has a status that does not start.
    """
    now = ports.clock()
    seen = campaigns.find(ports.db, key)
    if seen is None:
        return None
    if seen.status not in STARTABLE:
        return []
    bounds = campaigns.part_bounds(ports.db, seen.segment_id)
    with ports.db.transaction():
        campaign = campaigns.find_locked(ports.db, key)
        if campaign is None or campaign.status not in STARTABLE:
            return []
        if campaign.segment_id != seen.segment_id:
            raise SubjectChanged("the campaign has another segment now")
        if campaign.job_id is not None and campaign.status == "sending":
            return parts.open_parts(ports.db, campaigns.subject_of(campaign.job_id))
        outcome = _start(ports.db, campaign, refusal(campaign, ports.settings), bounds, now)
    return _reported(campaign, outcome, ports)


def _start(
    db: Database,
    campaign: Campaign,
    problem: Problem | None,
    bounds: Sequence[Bounds],
    now: datetime,
) -> list[Part] | Problem | None:
    """Return the parts, a problem that is new, or None if there is nothing new."""
    key = (campaign.organization_id, campaign.id)
    if problem:
        return problem if campaigns.refuse(db, key, problem) else None
    if campaign.segment_state == "building":
        campaigns.postpone(db, key, now)
        return []
    content, metadata = frozen_content(campaign), frozen_metadata(campaign)
    return campaigns.start(db, key, content, metadata, bounds, now)


def _reported(campaign: Campaign, outcome: list[Part] | Problem | None, ports: Ports) -> list[Part]:
    ids = {"organization_id": str(campaign.organization_id), "campaign_id": str(campaign.id)}
    if isinstance(outcome, Problem):
        ports.log("campaign.refused", level="warning", reason=outcome.code, **ids)
        return []
    if outcome:
        ports.log("campaign.started", count=len(outcome), **ids)
    elif outcome is not None:
        ports.log("campaign.postponed", **ids)
    return outcome or []


def refusal(campaign: Campaign, settings: Settings) -> Problem | None:
    """Return why the campaign cannot start; None if it can, or waits for its segment alone."""
    if campaign.job_id is not None:
        return ALREADY_RUN
    return problem_of(campaign, deployment_of(campaign, settings))


def deployment_of(campaign: Campaign, settings: Settings) -> Deployment:
    """Return what the worker's settings permit."""
    return Deployment(
        is_live=mode_of(settings.get("DELIVERY_MODE")) == "live",
        has_hooks_url=bool(settings.get("HOOKS_BASE_URL")),
        has_unsubscribe_keys=bool(keys_of(settings.get("UNSUBSCRIBE_KEYS"))),
        permitted=permitted_types(cast(Channel, campaign.type)),
    )
