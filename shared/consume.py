"""A batch of deliveries, to the last one settled: the one way through for every message.

    delivery -> letter (parsed) -> outcome -> recorded, settled, measured

One wrong message never harms its neighbours, nothing is acked without having been done, and
nothing is ever raised out of here: the platform would deliver the whole batch again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from shared import dead_letters, failures, metrics
from shared.delivery import Delivery
from shared.discreet import said, told, traced
from shared.errors import LeaseLost, Unanswerable, error_class, is_retryable
from shared.jobs import Job, Worker
from shared.lanes import side_by_side
from shared.letters import Letter, error_text, job_meant, read
from shared.messages import WindowMessage
from shared.metrics import Metric
from shared.outcome import Dead, Done, Outcome, RetryIn, Sharded
from shared.ports import Ports
from shared.retry import delay_s
from shared.run import record_failure, run_window


@dataclass
class Invocation:
    """What there is to know of a batch under way. `spent` is the platform's error once the time
    that it grants is used up; `unmeasured` are the successes that are not reported yet."""

    spent: BaseException | None = None
    unmeasured: list[Callable[[], None]] = field(default_factory=list)

    def report(self, ports: Ports) -> None:
        """Write what was done since the last time; nobody has to wait for it."""
        done, self.unmeasured = self.unmeasured, []
        for measure in done:
            measure()
        ports.flush()


async def consume(batch: Iterable[Delivery], worker: Worker, ports: Ports) -> None:
    """Answer every delivery of a batch, in its order; a window's shards, which share nothing,
    side by side. The database is opened at most once a lane, and closed. What nobody waits for
    comes afterwards.
    """
    invocation, letters, follow_up = Invocation(), [], None
    try:
        for delivery in batch:
            letter = read(delivery, worker)
            if isinstance(letter, Letter):
                letters.append(letter)
            else:
                await settle(delivery, None, letter, ports.clock(), worker, ports, invocation)
        for group in _grouped(letters, _company):
            if _shard_key(group[0]):
                await _answer_shards(group, worker, ports, invocation)
            else:
                await _answer(group, worker, ports, invocation)
        if letters and not invocation.spent:
            follow_up = worker.after_batch
    finally:
        await ports.afterwards(_wind_up(follow_up, ports, invocation))


async def _wind_up(
    follow_up: Callable[[Ports], Awaitable[None]] | None, ports: Ports, invocation: Invocation
) -> None:
    """What the worker does after a batch. Every message is settled: a failure is an event."""
    try:
        invocation.report(ports)
        if follow_up:
            await follow_up(ports)
    except Exception as error:
        name = error_class(error)
        ports.log("batch.unfinished", level="error", error_class=name, error=told(error))
    finally:
        ports.db.close()
        ports.flush()


def _company(letter: Letter) -> object:
    """A job that takes lists has its letters together, a window its shards; others are alone."""
    if letter.job.batch:
        return letter.job.type
    if _shard_key(letter):
        return letter.job.type, letter.message.scheduled_for
    return id(letter)


def _grouped(letters: Iterable[Letter], key: Callable[[Letter], object]) -> list[list[Letter]]:
    groups: dict[object, list[Letter]] = {}
    for letter in letters:
        groups.setdefault(key(letter), []).append(letter)
    return list(groups.values())


def _shard_key(letter: Letter) -> str:
    """Its shard's name in the ledger, for example `2/4`; empty for what is no shard."""
    shard = letter.message.shard if isinstance(letter.message, WindowMessage) else None
    return shard.key if shard else ""


async def _answer_shards(
    group: list[Letter], worker: Worker, ports: Ports, invocation: Invocation
) -> None:
    """Each shard in a lane; one that came twice in the same one, where its second is obsolete."""

    async def answer(same: list[Letter], own: Ports) -> None:
        for letter in same:
            await _answer([letter], worker, own, invocation)
            invocation.report(own)  # others may take their time

    await side_by_side(_grouped(group, _shard_key), answer, ports)


async def _answer(
    group: list[Letter], worker: Worker, ports: Ports, invocation: Invocation
) -> None:
    """Handle and settle a group; one that fails as a whole is tried one by one.

    The platform's CpuLimitExceeded is no Exception. It spends the budget: it is the verdict on all
    that follow, who are not begun.
    """
    invocation.report(ports)
    started = ports.clock()
    try:
        if invocation.spent:
            raise invocation.spent
        outcomes = await _handle(group, ports)
    except (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        if not isinstance(error, Exception):
            invocation.spent = error
        elif len(group) > 1:
            for letter in group:
                await _answer([letter], worker, ports, invocation)
            return
        outcomes = [_verdict(error, letter, worker, ports) for letter in group]
    for letter, outcome in zip(group, outcomes, strict=True):
        await settle(letter.delivery, letter, outcome, started, worker, ports, invocation)


async def _handle(group: list[Letter], ports: Ports) -> list[Outcome]:
    job, first = group[0].job, group[0]
    if isinstance(first.message, WindowMessage) and job.schedule:
        return [
            await run_window(job, first.message, first.delivery.id, first.delivery.sent_at, ports)
        ]
    with ports.db.transaction():
        if job.batch:
            outcomes = await job.handler([letter.message for letter in group], ports)
        else:
            outcomes = [await job.handler(first.message, ports)]
        _assert_answered(job, group, outcomes)
    return list(outcomes)


def _assert_answered(job: Job, group: list[Letter], outcomes: object) -> None:
    """A handler that forgot to answer has not done its work: none of it is committed or acked."""
    answered = isinstance(outcomes, list) and all(
        isinstance(o, Done | RetryIn | Dead) for o in outcomes
    )
    if not answered or len(outcomes) != len(group):  # type: ignore[arg-type]
        raise TypeError(
            f"{job.type} must answer each of {len(group)} messages with Done, RetryIn or Dead"
        )


def _verdict(error: BaseException, letter: Letter, worker: Worker, ports: Ports) -> Outcome:
    """What an error means for the message, left in the ledger where its run has a place there."""
    text = error_text(error)
    retryable = is_retryable(error)
    outcome: Outcome
    if retryable:
        delay = delay_s(letter.delivery.attempts, ports.random)
        outcome = _unless_last(RetryIn(delay, error_class(error), text), letter.delivery, worker)
    else:
        reason = error.reason if isinstance(error, Unanswerable) else "failed"
        outcome = Dead(reason, error_class(error), text)
        if reason == "failed":
            lines = traced(error)
            ports.log("job.crashed", level="error", type=letter.job.type, traceback=lines)
    if not isinstance(error, LeaseLost):  # the row belongs to the run that took it over
        _record(letter, outcome, retryable, ports)
    return outcome


def _record(letter: Letter, outcome: Outcome, retryable: bool, ports: Ports) -> None:
    if letter.job.schedule and isinstance(letter.message, WindowMessage):
        message, delivery = letter.message, letter.delivery
        with failures.tolerated(ports):
            record_failure(
                letter.job, message, delivery.id, delivery.sent_at, ports, outcome, retryable
            )


def _unless_last(outcome: RetryIn, delivery: Delivery, worker: Worker) -> RetryIn | Dead:
    """A retry after the last delivery would be dropped by the platform without its error."""
    if delivery.attempts < worker.queue.deliveries_max:
        return outcome
    return Dead("exhausted", outcome.error_class, outcome.error_text)


async def settle(
    delivery: Delivery,
    letter: Letter | None,
    outcome: Outcome,
    started: datetime,
    worker: Worker,
    ports: Ports,
    invocation: Invocation,
) -> None:
    """The one place where a message is acked, retried or buried, and measured: what went well when
    there is time for it."""
    if isinstance(outcome, RetryIn):
        outcome = _unless_last(outcome, delivery, worker)
    if isinstance(outcome, Dead):
        outcome = await dead_letters.bury(
            delivery, letter.job if letter else None, outcome, worker, ports
        )
    if isinstance(outcome, RetryIn):
        failures.record(delivery, letter.job if letter else None, outcome, worker.queue.name, ports)
        delivery.retry(outcome.delay_s)
    else:
        delivery.ack()
    measure = partial(_measure, delivery, letter, outcome, (started, ports.clock()), worker, ports)
    if isinstance(outcome, RetryIn | Dead):
        measure()
    else:
        invocation.unmeasured.append(measure)


def _measure(
    delivery: Delivery,
    letter: Letter | None,
    outcome: Outcome,
    span: tuple[datetime, datetime],
    worker: Worker,
    ports: Ports,
) -> None:
    started, ended = span
    job = letter.job if letter else job_meant(delivery.body, worker)
    done = outcome if isinstance(outcome, Done) else Done()
    wrong = outcome if isinstance(outcome, RetryIn | Dead) else None
    metric = Metric(
        queue=worker.queue.name,
        worker=worker.name,
        type=job.type if job else "unknown",
        status=_status(outcome),
        attempts=delivery.attempts,
        duration_ms=round((ended - started).total_seconds() * 1_000),
        lag_ms=round((started - delivery.sent_at).total_seconds() * 1_000),
        rows_read=done.rows_read,
        rows_written=done.rows_written,
        error_class=wrong.error_class if wrong else "",
        organization_id=done.organization_id or "",
        trigger=letter.message.trigger if letter else "",
    )
    correlation_id = letter.message.correlation_id if letter else None
    text = said(wrong.error_class, wrong.error_text) if wrong else None
    metrics.write(metric, ports, delivery.id, correlation_id, text)


def _status(outcome: Outcome) -> str:
    match outcome:
        case Done() | Sharded():
            return "ack"
        case RetryIn():
            return "retry"
        case Dead():
            return "dead"
