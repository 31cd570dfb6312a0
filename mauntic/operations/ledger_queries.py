"""Queries of the ledger, the schedules and the dead letters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mauntic.operations.statements import SQL
from shared.jobs import Job
from shared.ledger.ledger import LEASE
from shared.ports import Database, Row
from shared.windows import Schedule, Window

# How long a redrive claims dead letters: longer than a call to the vendor's API can take.
CLAIM = timedelta(minutes=15)
BIGINT_MAX = 9_223_372_036_854_775_807


@dataclass(frozen=True)
class DeadLetterFilter:
    """A filter of dead letters; None disables a field."""

    ids: list[int] | None = None
    queue: str | None = None
    job_type: str | None = None
    reason: str | None = None
    dead_before: datetime | None = None
    dead_after: datetime | None = None
    status: str | None = field(default="dead", kw_only=True)

    @property
    def narrows(self) -> bool:
        """Return whether the filter has a condition in addition to the status."""
        return any(value is not None for name, value in asdict(self).items() if name != "status")


def dead_letters(db: Database, filters: DeadLetterFilter, limit: int = BIGINT_MAX) -> list[Row]:
    """Return dead letters without their bodies, newest first."""
    parameters = asdict(filters)
    if filters.ids is not None:
        parameters["ids"] = [letter_id for letter_id in filters.ids if _is_possible(letter_id)]
    return db.rows(SQL["select_dead_letters"], **parameters, limit=limit)


def dead_letter(db: Database, letter_id: int) -> Row | None:
    """Return one dead letter with its body."""
    found = db.rows(SQL["show_dead_letter"], id=letter_id) if _is_possible(letter_id) else []
    return found[0] if found else None


def _is_possible(letter_id: int) -> bool:
    """Return whether the id fits Postgres' bigint."""
    return abs(letter_id) <= BIGINT_MAX


def claim_dead_letters(db: Database, ids: Sequence[int], *, by: str, now: datetime) -> list[Row]:
    """Claim dead letters for a redrive; return id, queue, body and planned time."""
    lapsed = now - CLAIM
    return db.rows(SQL["claim_dead_letters"], ids=list(ids), by=by, now=now, lapsed=lapsed)


def mark_redriven(
    db: Database, ids: Sequence[int], *, by: str, note: str | None, claimed_at: datetime
) -> None:
    """Record that the claimed dead letters were sent."""
    db.execute(SQL["mark_redriven"], ids=list(ids), by=by, note=note, claimed_at=claimed_at)


def release_dead_letters(
    db: Database, ids: Sequence[int], *, by: str, claimed_at: datetime
) -> None:
    """Release a claim whose messages were presumably not sent."""
    db.execute(SQL["release_dead_letters"], ids=list(ids), by=by, claimed_at=claimed_at)


def discard_dead_letters(
    db: Database, ids: Sequence[int], *, by: str, note: str, now: datetime
) -> list[int]:
    """Discard those that are dead and not claimed by a redrive; return their ids."""
    rows = db.rows(
        SQL["discard_dead_letters"], ids=list(ids), by=by, note=note, now=now, lapsed=now - CLAIM
    )
    return [row["id"] for row in rows]


def dead_letter_counts(db: Database) -> dict[str, int]:
    """Count the dead letters of each queue that wait for a decision."""
    return {row["queue"]: row["waiting"] for row in db.rows(SQL["count_dead_letters"])}


def dead_letter_names(db: Database) -> Row:
    """Return the queues, job types and reasons of dead letters."""
    [names] = db.rows(SQL["dead_letter_names"])
    return names


def job_states(db: Database, jobs: Sequence[tuple[Job, Schedule]], now: datetime) -> dict[str, Row]:
    """Return the state of each schedule, by job type."""
    due = [schedule.newest_due(now - schedule.grace) for _, schedule in jobs]
    rows = db.rows(
        SQL["job_states"],
        job_types=[job.type for job, _ in jobs],
        due_starts=[window.start for window in due],
        due_ends=[window.end for window in due],
        by_row=[schedule.is_about_now for _, schedule in jobs],
    )
    return {row["job_type"]: row for row in rows}


def set_paused(
    db: Database, job_type: str, paused: bool, *, note: str | None, by: str, now: datetime
) -> bool:
    """Pause or resume a schedule; return whether this changed it."""
    rows = db.rows(SQL["set_paused"], job_type=job_type, paused=paused, note=note, by=by, now=now)
    return bool(rows)


def runs(db: Database, **filters: Any) -> list[Row]:
    """Return runs, newest window first; `filters` are the parameters of the statement."""
    return db.rows(SQL["select_runs"], **filters)


def run(db: Database, job_type: str, window: Window) -> list[Row]:
    """Return the window's row, then its shards' rows; empty if there is none."""
    return db.rows(
        SQL["show_run"], job_type=job_type, window_start=window.start, window_end=window.end
    )


def window_states(db: Database, job_type: str, windows: Sequence[Window]) -> dict[Window, Row]:
    """Return the existing rows of these windows."""
    rows = db.rows(
        SQL["window_states"], job_type=job_type, starts=[window.start for window in windows]
    )
    wanted = set(windows)
    found = {Window(row["window_start"], row["window_end"]): row for row in rows}
    return {window: row for window, row in found.items() if window in wanted}


def claim_backfill(
    db: Database,
    job_type: str,
    windows: Sequence[tuple[Window, datetime]],
    statuses: Sequence[str],
    now: datetime,
) -> list[Row]:
    """Claim windows with their planned times. Return the claimed ones and their previous rows."""
    return db.rows(
        SQL["claim_backfill"],
        job_type=job_type,
        starts=[window.start for window, _ in windows],
        ends=[window.end for window, _ in windows],
        planned=[planned for _, planned in windows],
        statuses=list(statuses),
        now=now,
        lease_until=now + LEASE,
    )


def release_backfill(
    db: Database, job_type: str, claimed: Sequence[Row], claimed_at: datetime
) -> None:
    """Release a claim whose messages could not be sent."""
    db.execute(
        SQL["release_backfill"],
        job_type=job_type,
        claimed_at=claimed_at,
        starts=[row["window_start"] for row in claimed],
        ends=[row["window_end"] for row in claimed],
        befores=[row["before"] and json.dumps(row["before"]) for row in claimed],
    )
