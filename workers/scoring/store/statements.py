"""The statements of the scoring jobs, one function each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from shared.ledger import change_feed, shards
from shared.ledger.shards import Key, KeyRange, Size
from shared.ports import Database, Row
from shared.sql.blocks import SqlBlocks

SQL = SqlBlocks(Path(__file__).parent.parent / "sql")

# About 5 s of work, at about 15,000 contacts a second if every score changes.
SHARD_ROWS = 75_000
# A shard may grow by this factor after it is counted; the next run takes the rest.
GROWTH_MAX = 2
ALERTS_MAX = 100_000  # per statement


@dataclass(frozen=True)
class Scored:
    """The numbers of scored contacts and of changed rows."""

    rows_read: int
    rows_written: int


@dataclass(frozen=True)
class Replacement:
    """Points of a message that replace a category's own; None replaces nothing."""

    fit: int | None = None
    engagement: int | None = None
    intent: int | None = None


def scoring_time(db: Database, window_end: datetime) -> datetime:
    """Return the time for which a window's run scores: never earlier than that of a previous
    run.
    """
    [row] = db.rows(SQL["scoring_time"], t=window_end)
    time: datetime = row["t"]
    return time


def backlog_rows(db: Database, keys: KeyRange) -> int:
    """Return the number of entries that a range of the backlog has."""
    [row] = db.rows(SQL["backlog_rows"], **keys.bounds())
    return int(row["count"])


def due_rows(db: Database, keys: KeyRange, t: datetime) -> int:
    """Return the number of scores in a range that time may have changed by `t`."""
    [row] = db.rows(SQL["due_rows"], **keys.bounds(), t=t)
    return int(row["count"])


def backlog_shards(db: Database) -> tuple[dict[str, Any], ...]:
    """Plan the shards of the backlog; none if another run has emptied it since it was counted."""

    def cuts_of(organization_id: UUID) -> list[UUID]:
        return _cuts(db, "cut_backlog", organization_id=organization_id)

    return _shards(db.rows(SQL["count_backlog"]), cuts_of)


def due_shards(db: Database, t: datetime) -> tuple[dict[str, Any], ...]:
    """Plan the shards of the scores that time may have changed by `t`; none if another run has
    scored them since they were counted."""

    def cuts_of(organization_id: UUID) -> list[UUID]:
        return _cuts(db, "cut_due", organization_id=organization_id, t=t)

    return _shards(db.rows(SQL["count_due"], t=t), cuts_of)


def recompute_backlog(db: Database, keys: KeyRange, t: datetime) -> Scored:
    """Score the contacts of a range of the backlog. Clear the entries that no change renewed."""
    rows = min(backlog_rows(db, keys), _rows_max())
    if rows == 0:
        return Scored(0, 0)
    [row] = db.rows(SQL["recompute_backlog"], **keys.bounds(), t=t, rows=rows, settled_until=t)
    return Scored(row["rows_read"], row["rows_written"])


def recompute_due(db: Database, keys: KeyRange, t: datetime) -> Scored:
    """Score the contacts of a range whose score changes by `t` through time alone."""
    due = min(due_rows(db, keys, t), _rows_max())
    if due == 0:
        return Scored(0, 0)
    [row] = db.rows(SQL["recompute_due"], **keys.bounds(), t=t, rows=due)
    return Scored(due, row["rows_written"])


@dataclass(frozen=True)
class Requested:
    """The versions of the locked entries, and the contacts that another transaction has locked."""

    versions: dict[Key, int]
    busy: list[Key]


def request_contacts(db: Database, keys: Sequence[Key]) -> Requested:
    """Enter contacts into the backlog and lock their entries, if the contacts exist.

    A lock that no statement can skip (another transaction is inserting the same entry) raises
    55P03, so that the messages are tried one by one. A single contact then counts as locked.
    """

    def hold() -> Row:
        [row] = db.rows(SQL["request_contacts"], **_columns(keys), patience=change_feed.PATIENCE)
        return row

    row = hold() if len(keys) > 1 else change_feed.unless_locked(db, hold)
    if row is None:
        return Requested({}, list(keys))
    held = zip(row["places"] or [], row["versions"] or [], strict=True)
    versions = {keys[place - 1]: version for place, version in held}
    existing = [keys[place - 1] for place in row["known"] or []]
    return Requested(versions, [key for key in existing if key not in versions])


def score_contacts(
    db: Database, versions: Mapping[Key, int], replacements: Mapping[Key, Replacement], t: datetime
) -> list[Key]:
    """Score contacts whose entries are locked. Their rows are written even if nothing changed.

    Return those whose score another transaction has locked: they stay in the backlog.
    """
    nothing, keys = Replacement(), list(versions)
    overrides = [replacements.get(key, nothing) for key in keys]
    [row] = db.rows(
        SQL["score_contacts"],
        **_columns(keys),
        versions=list(versions.values()),
        as_fit=[override.fit for override in overrides],
        as_engagement=[override.engagement for override in overrides],
        as_intent=[override.intent for override in overrides],
        t=t,
        settled_until="-infinity",
    )
    return [keys[place - 1] for place in row["busy"] or []]


def _columns(keys: Sequence[Key]) -> dict[str, list[UUID]]:
    return {
        "organization_ids": [organization_id for organization_id, _ in keys],
        "contact_ids": [contact_id for _, contact_id in keys],
    }


def expire_alerts(db: Database, t: datetime) -> int:
    """Expire the open alerts whose deadline has passed; return their number."""
    expired = 0
    while True:
        touched = db.execute(SQL["expire_alerts"], t=t, alerts_max=ALERTS_MAX)
        expired += touched
        if touched < ALERTS_MAX:
            return expired


def has_crossings(db: Database) -> bool:
    """Return whether there are threshold events to publish."""
    [row] = db.rows(SQL["has_crossings"])
    return bool(row["found"])


def take_crossings(db: Database, rows_max: int) -> list[Row]:
    """Delete and return the oldest threshold events that no other transaction is publishing."""
    return db.rows(SQL["take_crossings"], rows_max=rows_max)


def count_crossings(
    db: Database, thresholds: Sequence[int], rows_max: int
) -> tuple[int, list[Row]]:
    """Delete them too. Return their total number, and the numbers per organization, threshold and
    direction.
    """
    [row] = db.rows(SQL["count_crossings"], thresholds=list(thresholds), rows_max=rows_max)
    return row["taken"], row["crossings"]


def _rows_max() -> int:
    return GROWTH_MAX * SHARD_ROWS


def _shards(
    rows: Sequence[Row], cuts_of: Callable[[UUID], Sequence[UUID]]
) -> tuple[dict[str, Any], ...]:
    return shards.numbered(shards.plan_keys([Size(**row) for row in rows], SHARD_ROWS, cuts_of))


def _cuts(db: Database, block: str, **parameters: Any) -> list[UUID]:
    rows = db.rows(SQL[block], **parameters, rows_max=SHARD_ROWS)
    return [row["contact_id"] for row in rows]
