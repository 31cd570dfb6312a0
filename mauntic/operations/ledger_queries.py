"""What the commands ask of the ledger, the schedules and the dead letters, a function each."""

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

# How long a redrive keeps its letters to itself: longer than the vendor's API may keep it waiting.
CLAIM = timedelta(minutes=15)
BIGINT_MAX = 9_223_372_036_854_775_807


@dataclass(frozen=True)
class DeadLetterFilter:
    """Which dead letters are meant; a field that is None filters nothing."""

    ids: list[int] | None = None
    queue: str | None = None
    job_type: str | None = None
    reason: str | None = None
    dead_before: datetime | None = None
    dead_after: datetime | None = None
    status: str | None = field(default="dead", kw_only=True)

    @property
    def narrows(self) -> bool:
        """True where something is asked for beside the status."""
        return any(value is not None for name, value in asdict(self).items() if name != "status")


def dead_letters(db: Database, which: DeadLetterFilter, limit: int = BIGINT_MAX) -> list[Row]:
    """The dead letters without their bodies, newest first."""
    asked = asdict(which)
    if which.ids is not None:
        asked["ids"] = [letter_id for letter_id in which.ids if _is_possible(letter_id)]
    return db.rows(SQL["select_dead_letters"], **asked, limit=limit)


def dead_letter(db: Database, letter_id: int) -> Row | None:
    """One dead letter with its body."""
    found = db.rows(SQL["show_dead_letter"], id=letter_id) if _is_possible(letter_id) else []
    return found[0] if found else None


def _is_possible(letter_id: int) -> bool:
    """Whether a letter can have this number: beyond bigint Postgres could not even compare it."""
    return abs(letter_id) <= BIGINT_MAX


def claim_dead_letters(db: Database, ids: Sequence[int], *, by: str, now: datetime) -> list[Row]:
    """Claim letters for a redrive: id, queue, body and the planned time of the run."""
    lapsed = now - CLAIM
    return db.rows(SQL["claim_dead_letters"], ids=list(ids), by=by, now=now, lapsed=lapsed)


def mark_redriven(
    db: Database, ids: Sequence[int], *, by: str, note: str | None, claimed_at: datetime
) -> None:
    """Record that the letters of a claim were sent."""
    db.execute(SQL["mark_redriven"], ids=list(ids), by=by, note=note, claimed_at=claimed_at)


def release_dead_letters(
    db: Database, ids: Sequence[int], *, by: str, claimed_at: datetime
) -> None:
    """Take a claim back: its letters were not sent, as far as is known."""
    db.execute(SQL["release_dead_letters"], ids=list(ids), by=by, claimed_at=claimed_at)


def discard_dead_letters(
    db: Database, ids: Sequence[int], *, by: str, note: str, now: datetime
) -> list[int]:
    """Discard the letters that are dead and claimed by no redrive; returns their ids."""
    rows = db.rows(
        SQL["discard_dead_letters"], ids=list(ids), by=by, note=note, now=now, lapsed=now - CLAIM
    )
    return [row["id"] for row in rows]


def dead_letter_counts(db: Database) -> dict[str, int]:
    """How many dead letters of each queue wait for a decision."""
    return {row["queue"]: row["waiting"] for row in db.rows(SQL["count_dead_letters"])}


def dead_letter_names(db: Database) -> Row:
    """The queues, job types and reasons that dead letters have."""
    [names] = db.rows(SQL["dead_letter_names"])
    return names


def job_states(db: Database, jobs: Sequence[tuple[Job, Schedule]], now: datetime) -> dict[str, Row]:
    """The state of each schedule, by job type."""
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
    """Whether this changed anything."""
    rows = db.rows(SQL["set_paused"], job_type=job_type, paused=paused, note=note, by=by, now=now)
    return bool(rows)


def runs(db: Database, **filters: Any) -> list[Row]:
    """Runs, newest window first, by the parameters of the block."""
    return db.rows(SQL["select_runs"], **filters)


def run(db: Database, job_type: str, window: Window) -> list[Row]:
    """The row of the window, then those of its shards; empty where it has none."""
    return db.rows(
        SQL["show_run"], job_type=job_type, window_start=window.start, window_end=window.end
    )


def window_states(db: Database, job_type: str, windows: Sequence[Window]) -> dict[Window, Row]:
    """The rows of those windows that have one."""
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
    """Queue the windows, given with their planned times. Returns those that are ours now, with what
    their rows held before."""
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
    """Take a claim back whose messages could not be sent."""
    db.execute(
        SQL["release_backfill"],
        job_type=job_type,
        claimed_at=claimed_at,
        starts=[row["window_start"] for row in claimed],
        ends=[row["window_end"] for row in claimed],
        befores=[row["before"] and json.dumps(row["before"]) for row in claimed],
    )
