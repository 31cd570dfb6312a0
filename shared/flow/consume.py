"""Consume a batch of deliveries until the last one is settled: the path of every message.

delivery -> parsed message -> outcome -> settled (shared/flow/settle.py)

One invalid message never affects the others, nothing is acked unless it was done, and no exception
leaves this module, because the platform would deliver the whole batch again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext

from shared.error_text import error_text
from shared.errors import LeaseLost, PermanentError, error_class, is_retryable
from shared.flow import attempts
from shared.flow.concurrency import run_concurrently
from shared.flow.containment import ends_the_task
from shared.flow.delivery import Batch, Delivery
from shared.flow.intake import Intake
from shared.flow.parse import ParsedMessage, Rejected, job_meant, read
from shared.flow.settle import Invocation, retry_or_exhaust, settle
from shared.flow.window_run import record_failure, run_window
from shared.jobs import AfterBatch, BatchJob, Job, WindowJob, Worker
from shared.messages import WindowMessage
from shared.outcome import Dead, Done, Outcome, Reason, RetryIn
from shared.ports import Ports
from shared.queues import Queue
from shared.retry import delay_s
from shared.telemetry.redaction import describe_error, safe_traceback


async def consume(batch: Batch, worker: Worker, ports: Ports) -> None:
    """Answer every delivery of a batch, in order; the shards of one window, which share nothing,
    run concurrently. A lane opens the database at most once, and closes it. Work that no sender
    waits for follows the answers.
    """
    invocation, follow_up = Invocation(Intake.of(worker, batch.queue)), None
    try:
        parsed_messages = await _parse_batch(batch, ports, invocation)
        for group in _group(parsed_messages, _group_key):
            answer = _answer_shards if group[0].shard_key else _answer
            await answer(group, ports, invocation)
        if parsed_messages and not invocation.cpu_exhausted:
            follow_up = worker.after_batch
    finally:
        await ports.wait_until(_finish_batch(follow_up, ports, invocation))


async def _parse_batch(
    batch: Iterable[Delivery], ports: Ports, invocation: Invocation
) -> list[ParsedMessage]:
    """Return the parsed messages of the deliveries; settle those that no job accepts.

    An exception while one delivery is read affects only that delivery. It is left to the queue,
    whose last retry makes a dead letter of its unchanged body, because a body that cannot be read
    cannot be buried.
    """
    parsed_messages, now = [], ports.clock()
    for delivery in batch:
        try:
            parsed, job = _read(delivery, invocation.intake)
        except BaseException as error:
            if ends_the_task(error):
                raise
            again = _again(error, delivery, ports.random)
            await settle(
                Rejected(delivery, None, is_legible=False), again, now, now, ports, invocation
            )
            continue
        if isinstance(parsed, ParsedMessage):
            parsed_messages.append(parsed)
        else:
            await settle(Rejected(delivery, job), parsed, now, now, ports, invocation)
    return parsed_messages


def _read(delivery: Delivery, intake: Intake) -> tuple[ParsedMessage | Dead, Job | None]:
    worker = intake.worker
    parsed = read(delivery, worker, intake.queue)
    return parsed, None if isinstance(parsed, ParsedMessage) else job_meant(delivery.body, worker)


def _group_key(parsed: ParsedMessage) -> object:
    """Return the grouping key: all messages of a batch job, all shards of one window; any other
    message is its own group.
    """
    if isinstance(parsed.job, BatchJob):
        return parsed.job.type
    if parsed.shard_key:
        return parsed.job.type, parsed.message.scheduled_for
    return id(parsed)


def _group(
    parsed_messages: Iterable[ParsedMessage], key: Callable[[ParsedMessage], object]
) -> list[list[ParsedMessage]]:
    groups: dict[object, list[ParsedMessage]] = {}
    for parsed in parsed_messages:
        groups.setdefault(key(parsed), []).append(parsed)
    return list(groups.values())


async def _answer_shards(group: list[ParsedMessage], ports: Ports, invocation: Invocation) -> None:
    """Answer one shard per lane. A duplicate delivery runs after the first and finds it
    finished.
    """

    async def answer(same: list[ParsedMessage], own: Ports) -> None:
        for parsed in same:
            await _answer([parsed], own, invocation)
            invocation.flush_metrics(own)  # the other lanes may take a while

    shards = _group(group, lambda parsed: parsed.shard_key)
    await run_concurrently(shards, answer, ports, invocation.intake.queue.connections)


async def _answer(group: list[ParsedMessage], ports: Ports, invocation: Invocation) -> None:
    """Handle and settle a group; if it fails as a whole, its messages are tried one by one.

    The platform's CpuLimitExceeded is neither an Exception nor a SystemExit. The time is then used
    up: the following messages are not started, and end with the same error.
    """
    invocation.flush_metrics(ports)
    started = ports.clock()
    try:
        if invocation.cpu_exhausted:
            raise invocation.cpu_exhausted
        outcomes = await _handle(group, ports)
    except BaseException as error:
        if ends_the_task(error):
            raise
        if not isinstance(error, Exception | SystemExit | asyncio.CancelledError):
            invocation.cpu_exhausted = error
        elif len(group) > 1 and group[0].job.transaction:
            for parsed in group:
                await _answer([parsed], ports, invocation)
            return
        outcomes = [_fail(error, parsed, ports, invocation) for parsed in group]
    ended = ports.clock()
    for parsed, outcome in zip(group, outcomes, strict=True):
        await settle(parsed, outcome, started, ended, ports, invocation)


async def _handle(group: list[ParsedMessage], ports: Ports) -> list[Outcome]:
    job, first = group[0].job, group[0]
    if isinstance(job, WindowJob):
        assert isinstance(first.message, WindowMessage)
        return [await run_window(job, first.message, first.delivery, ports)]
    outcomes: Sequence[Outcome]
    with ports.db.transaction() if job.transaction else nullcontext():
        if isinstance(job, BatchJob):
            outcomes = await job.handler([parsed.message for parsed in group], ports)
        else:
            outcomes = [await job.handler(first.message, ports)]
        _assert_answered(job, group, outcomes)
    return list(outcomes)


def _assert_answered(job: Job, group: list[ParsedMessage], outcomes: object) -> None:
    """Raise if a handler did not answer every message: then none of its work is committed or
    acked.
    """
    answered = isinstance(outcomes, Sequence) and all(
        isinstance(outcome, Done | RetryIn | Dead) for outcome in outcomes
    )
    if not answered or len(outcomes) != len(group):  # type: ignore[arg-type]
        raise TypeError(
            f"{job.type} must answer each of {len(group)} messages with Done, RetryIn or Dead"
        )


def _fail(
    error: BaseException, parsed: ParsedMessage, ports: Ports, invocation: Invocation
) -> RetryIn | Dead:
    """Return the outcome for an error, and record it in the ledger if the message has a row
    there.
    """
    outcome = _classify(error, parsed.delivery, invocation.intake.queue, ports.random)
    if isinstance(outcome, Dead) and outcome.reason == "failed":
        lines = safe_traceback(error)
        ports.log("job.crashed", level="error", type=parsed.job.type, traceback=lines)
    if not isinstance(error, LeaseLost):  # the row belongs to the run that took it over
        with attempts.best_effort(ports):
            record_failure(parsed, outcome, is_retryable(error), ports)
    return outcome


def _classify(
    error: BaseException, delivery: Delivery, queue: Queue, random: Callable[[], float]
) -> RetryIn | Dead:
    """Return the outcome for an error: a retry, if one is useful and left. Pure."""
    if is_retryable(error):
        return retry_or_exhaust(_again(error, delivery, random), delivery, queue)
    reason: Reason = error.reason if isinstance(error, PermanentError) else "failed"
    return Dead(reason, error_class(error), error_text(error))


def _again(error: BaseException, delivery: Delivery, random: Callable[[], float]) -> RetryIn:
    return RetryIn(delay_s(delivery.attempts, random), error_class(error), error_text(error))


async def _finish_batch(follow_up: AfterBatch | None, ports: Ports, invocation: Invocation) -> None:
    """Run the worker's work after a batch. Every message is settled by then, so a failure is only
    logged.
    """
    try:
        invocation.flush_metrics(ports)
        if follow_up:
            await follow_up(invocation.intake.queue, ports)
    except BaseException as error:
        if ends_the_task(error):
            raise
        name = error_class(error)
        ports.log(
            "batch.after_hook_failed", level="error", error_class=name, error=describe_error(error)
        )
    finally:
        ports.db.close()
        ports.flush()
