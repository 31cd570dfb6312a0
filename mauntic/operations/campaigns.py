"""Campaigns: list them, show their progress, start, pause, resume and cancel them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from delivery.campaigns.checks import Deployment, problem_of
from delivery.campaigns.progress import body
from delivery.campaigns.start import ALREADY_RUN
from delivery.domain.campaigns import STARTABLE, Campaign, Problem
from delivery.domain.outgoing import Channel
from delivery.sending.lane import permitted_types
from delivery.store import campaigns as store
from mauntic.errors import OperatorError
from mauntic.operations.required import require_names, require_row
from mauntic.operations.statements import SQL
from shared.ports import Database, Row

STATUSES = ("draft", "scheduled", "sending", "sent", "paused", "canceled")
MOVING = ("scheduled", "sending", "paused")
ALREADY_SENDING = Problem("already_sending", "its run has started and goes on by itself")
CHANNELS: dict[str, Channel] = {"email": "email", "sms": "sms", "push": "push"}


@dataclass(frozen=True)
class Progress:
    """The runs of a campaign, and the messages of the newest by state and reason."""

    runs: list[Row]
    messages: list[Row]


def list_campaigns(
    db: Database,
    statuses: Sequence[str],
    organization: UUID | None,
    with_problem: bool,
    limit: int,
) -> list[Row]:
    """Return campaigns: without a status those that move, or all with a problem."""
    require_names(statuses, STATUSES, "status")
    chosen = list(statuses) or (None if with_problem else list(MOVING))
    return db.rows(
        SQL["campaigns"],
        statuses=chosen,
        organization_id=organization,
        with_problem=with_problem,
        limit=limit,
    )


def find_campaign(db: Database, campaign_id: UUID) -> Row:
    """Return the campaign with its figures; OperatorError if there is none."""
    return require_row(
        db.rows(SQL["campaign_figures"], id=campaign_id), "campaign", campaign_id, "campaigns list"
    )


def progress_of(db: Database, campaign_id: UUID) -> Progress:
    """Return how far the runs have come."""
    runs = db.rows(SQL["campaign_runs"], id=campaign_id)
    if not runs:
        return Progress([], [])
    return Progress(runs, db.rows(SQL["campaign_progress"], job_id=runs[0]["id"]))


def refusal_now(db: Database, row: Row, *, is_live: bool) -> Problem | None:
    """Return what refuses the campaign now, as far as the database shows it.

    The settings of the worker are not known here: its start checks them.
    """
    campaign = _loaded(db, row)
    if campaign.job_id is not None:
        return ALREADY_SENDING if campaign.status == "sending" else ALREADY_RUN
    permitted: dict[str, list[str]] = {"marketing": [], "transactional": []}
    if campaign.type in CHANNELS:
        permitted = permitted_types(CHANNELS[campaign.type])
    return problem_of(campaign, Deployment(is_live, True, True, permitted))


def waits_for_segment(db: Database, row: Row) -> bool:
    """Return True if the members of the segment are not those of its criteria yet."""
    return _loaded(db, row).segment_state == "building"


def _loaded(db: Database, row: Row) -> Campaign:
    found = store.find(db, (row["organization_id"], row["id"]))
    assert found is not None
    return found


def audience_of(db: Database, campaign_id: UUID) -> Row:
    """Return how many members the segment has, and how many addresses they have."""
    [row] = db.rows(SQL["campaign_audience"], id=campaign_id)
    return row


def require_startable(row: Row) -> None:
    """Raise OperatorError unless a message would start the campaign."""
    if row["status"] not in STARTABLE:
        raise OperatorError(
            f"The campaign {row['id']} is {row['status']}: only drafts and scheduled campaigns"
            " start. To send it again, increment its `run` and make it a draft."
        )


def start_message(row: Row) -> dict[str, Any]:
    """Return the queue message that starts the campaign."""
    return body((row["organization_id"], row["id"]))


def open_messages(db: Database, campaign_id: UUID) -> Row:
    """Return how many messages a cancel ends, and how many are in a call."""
    [row] = db.rows(SQL["campaign_open_messages"], id=campaign_id)
    return row


def pause(db: Database, row: Row) -> None:
    """Pause a campaign that is sending."""
    _set(db, row, "paused", ("sending",))


def cancel(db: Database, row: Row) -> None:
    """Cancel a campaign that has not ended."""
    _set(db, row, "canceled", MOVING)


def require_cancelable(row: Row) -> None:
    """Raise OperatorError unless the campaign can be canceled."""
    if row["status"] not in MOVING:
        raise OperatorError(_other(row, MOVING))


def resume(db: Database, row: Row) -> str:
    """End the pause of a campaign; return its new status."""
    rows = db.rows(SQL["resume_campaign"], id=row["id"])
    if not rows:
        raise OperatorError(_other(row, ("paused",)))
    return str(rows[0]["status"])


def _set(db: Database, row: Row, status: str, sources: Sequence[str]) -> None:
    if not db.rows(SQL["set_campaign_status"], id=row["id"], status=status, sources=list(sources)):
        raise OperatorError(_other(find_campaign(db, row["id"]), sources))


def _other(row: Row, sources: Sequence[str]) -> str:
    return f"The campaign {row['id']} is {row['status']}, not {' or '.join(sources)}."
