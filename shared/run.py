"""One run of one window: lease, work and finish, all or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from shared import ledger
from shared.jobs import Job
from shared.ledger import Busy, Lease, Obsolete, RunKey
from shared.letters import Letter
from shared.messages import Shard, Trigger, WindowMessage
from shared.outcome import Dead, Done, Outcome, RetryIn, Sharded
from shared.ports import Ports
from shared.windows import Window

EARLY_MAX_S = 900  # a cron fires up to a minute early; beyond this somebody mistook the date


@dataclass(frozen=True)
class Run:
    """What the handler of a window is given. `planned` is the cron's planned time."""

    window: Window
    planned: datetime
    shard: Shard | None
    ports: Ports
    trigger: Trigger


async def run_window(
    job: Job, message: WindowMessage, message_id: str, sent_at: datetime, ports: Ports
) -> Outcome:
    """Run the window that a message means. The handler's rows and the ledger's commit together."""
    assert job.schedule is not None
    planned = message.planned(sent_at)
    key = RunKey(job.type, job.schedule.window_of(planned), message.shard)
    early_s = (key.window.end - ports.clock()).total_seconds()
    if early_s > 0:
        return _too_early(key.window, early_s)
    start = ledger.start(
        ports.db,
        key,
        trigger=message.trigger,
        message_id=message_id,
        planned=planned,
        now=ports.clock(),
    )
    match start:
        case Busy(seconds_left):
            return RetryIn(seconds_left, "Busy", f"{key.window} is being run by another message")
        case Obsolete():
            return Done()
        case Lease() as lease:
            return await _work(
                job, Run(key.window, planned, key.shard, ports, message.trigger), lease, message
            )


def _too_early(window: Window, early_s: float) -> Outcome:
    """A window that was run is done for ever: it has to wait for its last possible event."""
    text = f"{window} has not ended yet"
    if early_s <= EARLY_MAX_S:
        return RetryIn(ceil(early_s), "TooEarly", text)
    return Dead("too_early", "TooEarly", text)


async def _work(job: Job, run: Run, lease: Lease, message: WindowMessage) -> Outcome:
    db = run.ports.db
    shards: list[Shard] = []
    with db.transaction():
        outcome: Outcome = await job.handler(run)
        match outcome:
            case Done():
                ledger.finish(db, lease, outcome, run.ports.clock())
            case Sharded() if outcome.shards and run.shard is None:  # a shard is not split again
                shards = [
                    Shard.model_validate(part | {"run": lease.token}) for part in outcome.shards
                ]
                ledger.split(db, lease, shards, run.ports.clock())
            case _:
                raise TypeError(f"{job.type} answered {outcome!r}, which a window cannot end with")
    await run.ports.queue.send([_shard_body(message, run.planned, shard) for shard in shards])
    return outcome


def _shard_body(message: WindowMessage, planned: datetime, shard: Shard) -> dict[str, Any]:
    whole = message.body() | {"scheduledFor": planned.isoformat()}
    return whole | {
        "data": {"shard": shard.model_dump(mode="json", by_alias=True, exclude_none=True)}
    }


def record_failure(letter: Letter, verdict: RetryIn | Dead, retryable: bool, ports: Ports) -> None:
    """Leave in the ledger why a window's run failed, and until when its retry is awaited. Of what
    is no window the ledger knows nothing."""
    message, schedule, delivery = letter.message, letter.job.schedule, letter.delivery
    if not (schedule and isinstance(message, WindowMessage)):
        return
    window = schedule.window_of(message.planned(delivery.sent_at))
    until = ports.clock()
    if isinstance(verdict, RetryIn):
        until += timedelta(seconds=verdict.delay_s) + ledger.LEASE
    ledger.fail(
        ports.db,
        RunKey(letter.job.type, window, message.shard),
        message_id=delivery.id,
        dead=isinstance(verdict, Dead),
        retryable=retryable,
        error_class=verdict.error_class,
        error_text=verdict.error_text,
        until=until,
    )
