"""The triggers of segments: which members are the next to enter, and how far each has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from journeys.store.entering import QUEUED, Entered, entered_of
from journeys.store.statements import SQL
from shared.ledger.shards import KeyRange
from shared.ports import Database, Row

ROWS_MAX = 10_000
OVERDUE = timedelta(minutes=10)
OVERDUE_MAX = 1_000

Trigger = tuple[UUID, UUID]  # organization, trigger
Stay = tuple[UUID, str]  # contact, occasion


@dataclass(frozen=True)
class Progress:
    """A trigger that this transaction has locked, and its segment."""

    trigger_id: UUID
    journey_id: UUID
    organization_id: UUID
    segment_id: UUID
    takes_existing: bool
    changes_until: int
    full_pass_at: datetime | None
    pass_after: UUID | None
    change_no: int
    state: str
    is_another: bool
    needs_pass: bool

    def own(self) -> dict[str, Any]:
        return {"trigger_id": self.trigger_id, "journey_id": self.journey_id}


def ask(db: Database, keys: KeyRange, now: datetime) -> list[Trigger]:
    """Ask the triggers of a range of organizations to run; return them."""
    rows = db.rows(
        SQL["ask_triggers"],
        now=now,
        first_organization=keys.first[0],
        last_organization=keys.until[0] if keys.until else None,
    )
    return _triggers(rows)


def overdue(db: Database, now: datetime) -> list[Trigger]:
    """Return the triggers that were asked some time ago and have not finished."""
    rows = db.rows(SQL["overdue_triggers"], now=now, patience=OVERDUE, rows_max=OVERDUE_MAX)
    return _triggers(rows)


def _triggers(rows: Sequence[Row]) -> list[Trigger]:
    return [(row["organization_id"], row["trigger_id"]) for row in rows]


def lock(db: Database, trigger: Trigger) -> Progress | None:
    """Lock a trigger that is due; None if it is not, or if another run has it."""
    rows = db.rows(SQL["lock_trigger"], organization_id=trigger[0], trigger_id=trigger[1])
    return Progress(trigger_id=trigger[1], **rows[0]) if rows else None


def step(db: Database, own: Progress, now: datetime) -> tuple[Entered, bool]:
    """Enter the next contacts: those of a pass, then those of changes, then those who waited.

    Return what came of them, and whether nothing is left to do.
    """
    if own.is_another or (own.needs_pass and own.pass_after is None):
        db.execute(
            SQL["begin_pass"],
            trigger_id=own.trigger_id,
            segment_id=own.segment_id,
            changes_until=own.change_no,
        )
        return _members(db, own, UUID(int=0), now), False
    if own.pass_after is not None:
        return _members(db, own, own.pass_after, now), False
    if own.changes_until < own.change_no:
        return _changes(db, own, now), False
    db.execute(SQL["drop_left"], **own.own(), segment_id=own.segment_id, now=now)
    stays = _stays(db.rows(SQL["next_blocked"], **own.own(), now=now, rows_max=ROWS_MAX))
    entered = _enter(db, own, stays, now)
    is_done = len(stays) < ROWS_MAX
    if is_done:
        finish(db, own)
    return entered, is_done


def finish(db: Database, own: Progress) -> None:
    """Note that the trigger has nothing to do."""
    db.execute(SQL["finish_trigger"], trigger_id=own.trigger_id)


def _members(db: Database, own: Progress, after: UUID, now: datetime) -> Entered:
    rows = db.rows(
        SQL["next_members"], segment_id=own.segment_id, pass_after=after, rows_max=ROWS_MAX
    )
    stays = _stays(rows)
    if len(stays) < ROWS_MAX:
        db.execute(SQL["end_pass"], trigger_id=own.trigger_id, now=now)
    else:
        db.execute(SQL["keep_pass"], trigger_id=own.trigger_id, pass_after=stays[-1][0])
    if own.full_pass_at is None and not own.takes_existing:
        db.execute(
            SQL["refuse_existing"],
            **own.own(),
            organization_id=own.organization_id,
            contact_ids=[contact_id for contact_id, _ in stays],
            occasions=[occasion for _, occasion in stays],
            now=now,
        )
        return Entered([], len(stays))
    return _enter(db, own, stays, now)


def _changes(db: Database, own: Progress, now: datetime) -> Entered:
    rows = db.rows(
        SQL["next_changes"],
        segment_id=own.segment_id,
        changes_until=own.changes_until,
        rows_max=ROWS_MAX,
    )
    until = rows[-1]["change_no"] if len(rows) == ROWS_MAX else own.change_no
    db.execute(SQL["keep_changes"], trigger_id=own.trigger_id, changes_until=until)
    return _enter(db, own, _stays(rows), now)


def _stays(rows: Sequence[Row]) -> list[Stay]:
    return [(row["contact_id"], row["occasion"]) for row in rows if row["occasion"] is not None]


def _enter(db: Database, own: Progress, stays: Sequence[Stay], now: datetime) -> Entered:
    if not stays:
        return Entered([], 0)
    rows = db.rows(
        SQL["enter_by_segment"],
        **own.own(),
        organization_id=own.organization_id,
        contact_ids=[contact_id for contact_id, _ in stays],
        occasions=[occasion for _, occasion in stays],
        now=now,
        queued_until=now + QUEUED,
    )
    return entered_of(rows)
