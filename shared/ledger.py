"""The ledger `ops.job_runs`: which windows are queued, running, done or dead.

A start gives a lease and a fencing token. A finish counts only with the newest token, in the same
transaction as the rows it stands for: a run that was too slow is rolled back as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.errors import LeaseLost
from shared.messages import Shard, Trigger
from shared.outcome import Done
from shared.ports import Database
from shared.statements import SQL
from shared.windows import Window

# An invocation ends after 15 minutes at the latest: a lease that is older has no living holder.
# https://developers.cloudflare.com/workers/platform/limits/
LEASE = timedelta(minutes=16)


@dataclass(frozen=True)
class RunKey:
    """Which row of the ledger: a window of a job, or one shard of it."""

    job_type: str
    window: Window
    shard: Shard | None = None

    def parameters(self) -> dict[str, object]:
        return {
            "job_type": self.job_type,
            "window_start": self.window.start,
            "window_end": self.window.end,
            "shard": self.shard.key if self.shard else "",
        }


@dataclass(frozen=True)
class Lease:
    """The right to run `key` until another start takes it."""

    key: RunKey
    token: int


@dataclass(frozen=True)
class Busy:
    """Another run holds the lease, for so many seconds more."""

    seconds_left: int


@dataclass(frozen=True)
class Obsolete:
    """There is nothing left to do: this very message was finished before, or its split is void."""


def start(
    db: Database,
    key: RunKey,
    *,
    trigger: Trigger,
    message_id: str,
    planned: datetime,
    now: datetime,
) -> Lease | Busy | Obsolete:
    """Take the lease of a run, unless another has it or the message is obsolete."""
    split = key.shard.run if key.shard else 0
    claimed = db.rows(
        SQL["start_run"],
        **key.parameters(),
        split=split,
        trigger=trigger,
        message_id=message_id,
        scheduled_for=planned,
        now=now,
        lease_until=now + LEASE,
    )
    if claimed:
        return Lease(key, claimed[0]["fencing_token"])
    found = db.rows(SQL["run_state"], **key.parameters(), split=split)
    if not found or found[0]["status"] == "succeeded":
        return Obsolete()
    [row] = found
    left = row["lease_until"] - now if row["status"] == "running" else timedelta()
    return Busy(max(0, round(left.total_seconds())) + 1)


def finish(db: Database, lease: Lease, done: Done, now: datetime) -> None:
    """Mark the run as done, inside the transaction of its rows. LeaseLost rolls them back."""
    shard = lease.key.shard
    if shard:
        db.execute(SQL["lock_split"], **lease.key.parameters())
        held = db.execute(
            SQL["hold_split"], **lease.key.parameters(), run=shard.run, lease_until=now + LEASE
        )
        _assert_held(held, lease)
    touched = db.execute(
        SQL["finish_run"],
        **lease.key.parameters(),
        token=lease.token,
        rows_read=done.rows_read,
        rows_written=done.rows_written,
        now=now,
    )
    _assert_held(touched, lease)
    if shard:
        db.execute(SQL["finish_split"], **lease.key.parameters(), now=now)


def split(db: Database, lease: Lease, shards: list[Shard], now: datetime) -> None:
    """Replace the run by its shards, each with a row of its own."""
    parameters = lease.key.parameters()
    until = now + LEASE
    touched = db.execute(SQL["split_run"], **parameters, token=lease.token, lease_until=until)
    _assert_held(touched, lease)
    db.execute(SQL["forget_shards"], **parameters)
    db.execute(
        SQL["queue_shards"],
        **parameters,
        shards=[s.key for s in shards],
        now=now,
        lease_until=until,
    )


def fail(
    db: Database,
    key: RunKey,
    *,
    message_id: str,
    dead: bool,
    retryable: bool,
    error_class: str,
    error_text: str,
    until: datetime,
) -> None:
    """Record why a message's run failed; `until` is when its next try should have begun.

    If another message has started the run since, the row is for that one to write.
    """
    db.execute(
        SQL["fail_run"],
        **key.parameters(),
        split=key.shard.run if key.shard else None,
        message_id=message_id,
        status="dead" if dead else "failed",
        retryable=retryable,
        error_class=error_class,
        error_text=error_text,
        lease_until=until,
    )


def _assert_held(touched: int, lease: Lease) -> None:
    if touched == 0:
        raise LeaseLost(f"{lease.key.job_type} {lease.key.window} was started anew meanwhile")
