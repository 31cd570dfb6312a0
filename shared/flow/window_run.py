"""Run a window: lease, work and finish, all or nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

from shared.error_text import error_text
from shared.errors import DependencyNotReady, error_class
from shared.flow.delivery import Delivery
from shared.flow.parse import ParsedMessage
from shared.jobs import Run, WindowJob
from shared.ledger import ledger
from shared.ledger.ledger import Busy, Held, Lease, Obsolete, RunKey, Unsent
from shared.messages import Shard, WindowMessage
from shared.outcome import Dead, Done, Outcome, RetryIn, Sharded
from shared.ports import Ports
from shared.telemetry.redaction import describe_error
from shared.windows import Window

EARLY_MAX_S = 900  # a cron fires up to a minute early; beyond this the date is a mistake


async def run_window(
    job: WindowJob, message: WindowMessage, delivery: Delivery, ports: Ports
) -> Outcome:
    """Run the window of a message. The handler's rows and the ledger's commit together."""
    planned = message.planned(delivery.sent_at)
    key = RunKey(job.type, job.schedule.window_of(planned), message.shard)
    now = ports.clock()
    early_s = (key.window.end - now).total_seconds()
    if early_s > 0:
        return _too_early(key.window, early_s)
    if message.is_of_a_tick and now - delivery.sent_at > job.keep_runs:
        return Done()  # the ledger no longer knows whether it was run
    start = ledger.start(
        ports.db,
        key,
        trigger=message.trigger,
        message_id=delivery.id,
        delivery=delivery.attempts,
        planned=planned,
        now=now,
    )
    match start:
        case Busy() as busy:
            return await _wait(busy, message, planned, ports)
        case Obsolete():
            return Done()
        case Held():
            ports.log("run.held", type=job.type, window=str(key.window))
            return Done()
        case Unsent(shards):
            await _send_shards(shards, message, planned, ports)
            return Done()
        case Lease() as lease:
            run = Run(
                key.window, planned, key.shard, ports, message.trigger, message.before_retention
            )
            return await _work(job, run, lease, message)


async def _wait(busy: Busy, message: WindowMessage, planned: datetime, ports: Ports) -> Outcome:
    """Handle a window that another run holds. If that run fails, a tick sends its messages again.
    An operator's message is sent again for the end of the lease, because waiting costs no delivery.
    """
    if not message.is_of_a_tick:
        again = message.body() | {"scheduledFor": planned.isoformat()}
        await ports.queue.send([again], delay_s=busy.seconds_left)
    return Done()


def _too_early(window: Window, early_s: float) -> Outcome:
    """Refuse a window that has not ended: a window runs once, so it must not run before its last
    event.
    """
    text = f"{window} has not ended yet"
    if early_s <= EARLY_MAX_S:
        return RetryIn(ceil(early_s), "TooEarly", text)
    return Dead("too_early", "TooEarly", text)


async def _work(job: WindowJob, run: Run, lease: Lease, message: WindowMessage) -> Outcome:
    db = run.ports.db
    try:
        if job.transaction:
            with db.transaction():
                outcome = await job.handler(run)
                shards = _conclude(job, run, lease, outcome)
        else:
            outcome = await job.handler(run)
            with db.transaction():  # rolled back if another run has taken the window over
                shards = _conclude(job, run, lease, outcome)
    except DependencyNotReady as error:
        ledger.put_off(db, lease, error_class(error), error_text(error), run.ports.clock())
        run.ports.log(
            "run.waiting", type=job.type, window=str(run.window), error=describe_error(error)
        )
        return Done()
    await _send_shards(shards, message, run.planned, run.ports)
    return outcome


def _conclude(job: WindowJob, run: Run, lease: Lease, outcome: object) -> list[Shard]:
    """Record the outcome of a run in the transaction of its rows; return the shards to send."""
    now = run.ports.clock()
    match outcome:
        case Done():
            ledger.finish(run.ports.db, lease, outcome, now)
            return []
        case Sharded() if outcome.shards and run.shard is None:  # a shard is not split again
            common = {"run": lease.token, "beforeRetention": run.before_retention or None}
            shards = [Shard.model_validate(part | common) for part in outcome.shards]
            ledger.split(run.ports.db, lease, shards, now)
            return shards
    raise TypeError(f"{job.type} answered {outcome!r}, which a window cannot end with")


async def _send_shards(
    shards: list[Shard], message: WindowMessage, planned: datetime, ports: Ports
) -> None:
    body = message.body() | {"scheduledFor": planned.isoformat()}
    await ports.queue.send([body | {"data": {"shard": shard.body()}} for shard in shards])


def record_failure(
    parsed: ParsedMessage, outcome: RetryIn | Dead, retryable: bool, ports: Ports
) -> None:
    """Record in the ledger why a window's run failed, and the latest start of its retry. Other
    messages have no row in the ledger.
    """
    message, schedule, delivery = parsed.message, parsed.job.schedule, parsed.delivery
    if not (schedule and isinstance(message, WindowMessage)):
        return
    window = schedule.window_of(message.planned(delivery.sent_at))
    until = ports.clock()
    if isinstance(outcome, RetryIn):
        until += timedelta(seconds=outcome.delay_s) + ledger.LEASE
    ledger.fail(
        ports.db,
        RunKey(parsed.job.type, window, message.shard),
        message_id=delivery.id,
        delivery=delivery.attempts,
        dead=isinstance(outcome, Dead),
        retryable=retryable,
        error_class=outcome.error_class,
        error_text=outcome.error_text,
        until=until,
        about_now=schedule.is_about_now,
    )
