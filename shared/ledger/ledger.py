"""The ledger `ops.job_runs`: which windows are queued, running, done or dead.

A start gives a lease and a fencing token. A finish is valid only with the newest token, in the
transaction of its rows: a run that was too slow is rolled back completely.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.errors import LeaseLost
from shared.messages import Shard, Trigger
from shared.outcome import Done
from shared.ports import Database, Row
from shared.sql.statements import SQL
from shared.windows import Window

# The platform ends an invocation after this time: nothing that began earlier is still running.
# https://developers.cloudflare.com/workers/platform/limits/
INVOCATION_MAX = timedelta(minutes=15)
LEASE = timedelta(minutes=16)
# A message that was not started is sent again after LEASE, then after four times that, and so on;
# never less often than this. A window is caught up for fourteen days: at most 17 messages.
PATIENCE_MAX = timedelta(days=1)
# A job that acts on the current state should not wait for a day after its problem is solved.
PATIENCE_MAX_NOW = timedelta(hours=1)
# The first tick after this time sends a waiting run again.
WAIT = timedelta(minutes=10)


@dataclass(frozen=True)
class RunKey:
    """The key of a ledger row: a window of a job, or one shard of it."""

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
    """Another run holds the lease, for this many seconds more."""

    seconds_left: int


@dataclass(frozen=True)
class Obsolete:
    """The run is unnecessary: its work is done, or left to the shards, or its split is void."""


@dataclass(frozen=True)
class Held:
    """The schedule is paused: the ledger keeps the window due."""


@dataclass(frozen=True)
class Unsent:
    """This message split the window before. These shards have not begun: their messages may never
    have been sent.
    """

    shards: list[Shard]


def start(
    db: Database,
    key: RunKey,
    *,
    trigger: Trigger,
    message_id: str,
    delivery: int = 1,
    planned: datetime,
    now: datetime,
) -> Lease | Busy | Obsolete | Held | Unsent:
    """Take the lease of a run, unless another run has it or the message is obsolete."""
    split = key.shard.run if key.shard else 0
    claimed = db.rows(
        SQL["start_run"],
        **key.parameters(),
        split=split,
        trigger=trigger,
        message_id=message_id,
        delivery=delivery,
        scheduled_for=planned,
        now=now,
        lease_until=now + LEASE,
    )
    if claimed:
        return Lease(key, claimed[0]["fencing_token"])
    [state] = db.rows(
        SQL["run_state"], **key.parameters(), split=split, trigger=trigger, message_id=message_id
    )
    return _refusal(db, key, state, now)


def _refusal(
    db: Database, key: RunKey, state: Row, now: datetime
) -> Busy | Obsolete | Held | Unsent:
    """Return the reason why a run may not start."""
    if state["is_held"]:
        db.execute(SQL["hold_run"], **key.parameters(), now=now)
        return Held()
    if state["status"] == "running" and state["is_own"]:
        return Obsolete()  # another copy of the same delivery
    if state["status"] == "running":
        left = (state["lease_until"] - now).total_seconds()
        return Busy(max(0, round(left)) + 1)
    if state["status"] in ("sharded", "dead") and state["is_own"]:
        unbegun = db.rows(SQL["unbegun_shards"], **key.parameters(), token=state["fencing_token"])
        return Unsent([Shard.model_validate(row["shard_data"]) for row in unbegun])
    if state["status"] in ("sharded", "dead", "succeeded") or (key.shard and not state["status"]):
        return Obsolete()
    return Busy(1)  # the row has changed since the refusal


def finish(db: Database, lease: Lease, done: Done, now: datetime) -> None:
    """Mark the run as done, in the transaction of its rows. Raise LeaseLost to roll them back."""
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
    """Replace the run by its shards, each with its own row."""
    parameters = lease.key.parameters()
    until = now + LEASE
    touched = db.execute(SQL["split_run"], **parameters, token=lease.token, lease_until=until)
    _assert_held(touched, lease)
    db.execute(SQL["forget_shards"], **parameters)
    db.execute(
        SQL["queue_shards"],
        **parameters,
        shards=[shard.key for shard in shards],
        shard_data=[json.dumps(shard.body()) for shard in shards],
        now=now,
        lease_until=until,
    )


def put_off(db: Database, lease: Lease, error_class: str, error_text: str, now: datetime) -> None:
    """Leave a run that waits for other work to a later tick."""
    touched = db.execute(
        SQL["put_off_run"],
        **lease.key.parameters(),
        token=lease.token,
        error_class=error_class,
        error_text=error_text,
        until=now + WAIT,
    )
    _assert_held(touched, lease)


def fail(
    db: Database,
    key: RunKey,
    *,
    message_id: str,
    delivery: int = 1,
    dead: bool,
    retryable: bool,
    error_class: str,
    error_text: str,
    until: datetime,
    about_now: bool = False,
) -> None:
    """Record the error of a message's run; `until` is the latest start of its next try. A dead run
    is left to a later tick if its error was temporary.

    If another delivery has started the run since, this writes nothing.
    """
    db.execute(
        SQL["fail_run"],
        **key.parameters(),
        split=key.shard.run if key.shard else None,
        message_id=message_id,
        delivery=delivery,
        status="dead" if dead else "failed",
        retryable=retryable,
        error_class=error_class,
        error_text=error_text,
        lease_until=until,
        **patience([key.job_type] if about_now else []),
    )


def patience(about_now: list[str]) -> dict[str, object]:
    """Return the parameters of `parts/patience.sql`: `about_now` are the types that act on the
    current state.
    """
    return {
        "about_now": about_now,
        "first": LEASE,
        "longest": PATIENCE_MAX,
        "longest_now": PATIENCE_MAX_NOW,
    }


def _assert_held(touched: int, lease: Lease) -> None:
    if touched == 0:
        raise LeaseLost(f"{lease.key.job_type} {lease.key.window} has been started again")
