"""The statements that insert the messages of a run, part by part."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from delivery.domain.campaigns import Run
from delivery.store.campaigns import KIND, Key, subject_of
from delivery.store.statements import SQL
from shared.ledger import parts
from shared.ports import Database


@dataclass(frozen=True)
class Inserted:
    """What a part has done. `recipients` is set by the part that completes the fan-out."""

    members: int = 0
    messages: int = 0
    recipients: int | None = None


def run_of_part(db: Database, key: Key, part: int) -> Run | None:
    """Return the oldest run of the campaign in which the part is open; None if there is none."""
    rows = db.rows(
        SQL["run_of_part"], organization_id=key[0], campaign_id=key[1], kind=KIND, part=part
    )
    if not rows:
        return None
    row, frozen = rows[0], rows[0]["metadata"]
    return Run(
        job_id=row["id"],
        organization_id=row["organization_id"],
        campaign_id=row["campaign_id"],
        channel=row["channel"],
        template_id=UUID(frozen["template_id"]),
        number=frozen["run"],
        message_class=frozen["class"],
        segment_id=UUID(frozen["segment_id"]),
        expires_after_hours=frozen["expires_after_hours"],
        sender=frozen["from"],
        is_canceled=row["is_canceled"],
    )


def exists(db: Database, key: Key) -> bool:
    """Return True if the organization has the campaign."""
    return bool(db.rows(SQL["is_campaign"], organization_id=key[0], campaign_id=key[1]))


def insert_part(db: Database, run: Run, number: int, now: datetime) -> Inserted | None:
    """Insert the messages of a part, in one transaction; None if it is done or another run has it.

    The part of a canceled campaign inserts nothing.
    """
    with db.transaction():
        part = parts.claim(db, subject_of(run.job_id), number)
        if part is None:
            return None
        inserted = Inserted() if run.is_canceled else insert(db, run, part.bounds, now)
        if not parts.finish(db, part, now, lambda: _locked_version(db, run.job_id)):
            return inserted
        return Inserted(inserted.members, inserted.messages, _complete(db, run))


def insert(db: Database, run: Run, bounds: dict[str, object], now: datetime) -> Inserted:
    """Insert a row for each member in the bounds that has none."""
    [row] = db.rows(
        SQL["insert_recipients"],
        organization_id=run.organization_id,
        campaign_id=run.campaign_id,
        job_id=run.job_id,
        template_id=run.template_id,
        segment_id=run.segment_id,
        channel=run.channel,
        **{"class": run.message_class},
        key=run.key,
        first_contact=bounds.get("firstContact"),
        until_contact=bounds.get("untilContact"),
        expires_at=run.expires_at(now),
        now=now,
    )
    return Inserted(row["members"], row["messages"])


def _locked_version(db: Database, job_id: UUID) -> int | None:
    rows = db.rows(SQL["lock_run"], job_id=job_id)
    return rows[0]["version"] if rows else None


def _complete(db: Database, run: Run) -> int:
    rows = db.rows(SQL["complete_fan_out"], job_id=run.job_id)
    db.execute(
        SQL["set_recipients"], organization_id=run.organization_id, campaign_id=run.campaign_id
    )
    return int(rows[0]["recipient_count"]) if rows else 0


def domain_created_at(db: Database, organization_id: UUID, domain: str) -> datetime | None:
    """Return when a verified sending domain was created."""
    rows = db.rows(SQL["sender_domain"], organization_id=organization_id, domain=domain)
    return rows[0]["created_at"] if rows else None
