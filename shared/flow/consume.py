"""A batch of deliveries, to the last one settled: the one way through for every message.

    delivery -> letter (parsed) -> outcome -> settled (shared/flow/settle.py)

One wrong message never harms its neighbours, nothing is acked without having been done, and
nothing is ever raised out of here: the platform would deliver the whole batch again.
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
    """Answer every delivery of a batch, in their order; the shards of one window, which share
    nothing, side by side. A lane opens the database at most once, and closes it. What nobody waits
    for is done afterwards.
    """
    invocation, follow_up = Invocation(Intake.of(worker, batch.queue)), None
    try:
        letters = await _parse_batch(batch, ports, invocation)
        for group in _grouped(letters, _group_key):
            answer = _answer_shards if group[0].shard_key else _answer
            await answer(group, ports, invocation)
        if letters and not invocation.cpu_exhausted:
            follow_up = worker.after_batch
    finally:
        await ports.wait_until(_finish_batch(follow_up, ports, invocation))


async def _parse_batch(
    batch: Iterable[Delivery], ports: Ports, invocation: Invocation
) -> list[ParsedMessage]:
    """What the deliveries ask for; those that nobody can answer are settled.

    What is raised while one is read is that one's alone. It is left to the queue, whose last retry
    makes a dead letter of the body as it came: what could not be read cannot be buried either.
    """
    letters, now = [], ports.clock()
    for delivery in batch:
        try:
            letter, job = _read(delivery, invocation.intake)
        except BaseException as error:
            if ends_the_task(error):
                raise
            again = _again(error, delivery, ports.random)
            await settle(
                Rejected(delivery, None, is_legible=False), again, now, now, ports, invocation
            )
            continue
        if isinstance(letter, ParsedMessage):
            letters.append(letter)
        else:
            await settle(Rejected(delivery, job), letter, now, now, ports, invocation)
    return letters


def _read(delivery: Delivery, intake: Intake) -> tuple[ParsedMessage | Dead, Job | None]:
    worker = intake.worker
    letter = read(delivery, worker, intake.queue)
    return letter, None if isinstance(letter, ParsedMessage) else job_meant(delivery.body, worker)


def _group_key(letter: ParsedMessage) -> object:
    """What is answered together: the letters of a job that takes lists, the shards of a window. The
    same value for those; one of its own for any other letter."""
    if isinstance(letter.job, BatchJob):
        return letter.job.type
    if letter.shard_key:
        return letter.job.type, letter.message.scheduled_for
    return id(letter)


def _grouped(
    letters: Iterable[ParsedMessage], key: Callable[[ParsedMessage], object]
) -> list[list[ParsedMessage]]:
    groups: dict[object, list[ParsedMessage]] = {}
    for letter in letters:
        groups.setdefault(key(letter), []).append(letter)
    return list(groups.values())


async def _answer_shards(group: list[ParsedMessage], ports: Ports, invocation: Invocation) -> None:
    """Each shard in one lane. Where it came twice, the second finds itself done by the first."""

    async def answer(same: list[ParsedMessage], own: Ports) -> None:
        for letter in same:
            await _answer([letter], own, invocation)
            invocation.flush_metrics(own)  # the other lanes may take a while

    shards = _grouped(group, lambda letter: letter.shard_key)
    await run_concurrently(shards, answer, ports, invocation.intake.queue.connections)


async def _answer(group: list[ParsedMessage], ports: Ports, invocation: Invocation) -> None:
    """Handle and settle a group; one that fails as a whole is tried one by one.

    The platform's CpuLimitExceeded is neither an Exception nor a SystemExit. The time is used up,
    then: the letters that follow are not begun, and end with the same error.
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
            for letter in group:
                await _answer([letter], ports, invocation)
            return
        outcomes = [_verdict(error, letter, ports, invocation) for letter in group]
    ended = ports.clock()
    for letter, outcome in zip(group, outcomes, strict=True):
        await settle(letter, outcome, started, ended, ports, invocation)


async def _handle(group: list[ParsedMessage], ports: Ports) -> list[Outcome]:
    job, first = group[0].job, group[0]
    if isinstance(job, WindowJob):
        assert isinstance(first.message, WindowMessage)
        return [await run_window(job, first.message, first.delivery, ports)]
    outcomes: Sequence[Outcome]
    with ports.db.transaction() if job.transaction else nullcontext():
        if isinstance(job, BatchJob):
            outcomes = await job.handler([letter.message for letter in group], ports)
        else:
            outcomes = [await job.handler(first.message, ports)]
        _assert_answered(job, group, outcomes)
    return list(outcomes)


def _assert_answered(job: Job, group: list[ParsedMessage], outcomes: object) -> None:
    """A handler that forgot to answer has not done its work: none of it is committed or acked."""
    answered = isinstance(outcomes, Sequence) and all(
        isinstance(outcome, Done | RetryIn | Dead) for outcome in outcomes
    )
    if not answered or len(outcomes) != len(group):  # type: ignore[arg-type]
        raise TypeError(
            f"{job.type} must answer each of {len(group)} messages with Done, RetryIn or Dead"
        )


def _verdict(
    error: BaseException, letter: ParsedMessage, ports: Ports, invocation: Invocation
) -> RetryIn | Dead:
    """What an error means for the message, left in the ledger where its run has a place there."""
    verdict = _classify(error, letter.delivery, invocation.intake.queue, ports.random)
    if isinstance(verdict, Dead) and verdict.reason == "failed":
        lines = safe_traceback(error)
        ports.log("job.crashed", level="error", type=letter.job.type, traceback=lines)
    if not isinstance(error, LeaseLost):  # the row belongs to the run that took it over
        with attempts.best_effort(ports):
            record_failure(letter, verdict, is_retryable(error), ports)
    return verdict


def _classify(
    error: BaseException, delivery: Delivery, queue: Queue, random: Callable[[], float]
) -> RetryIn | Dead:
    """What an error means for the message: another try, if one is worth it and left. Pure."""
    if is_retryable(error):
        return retry_or_exhaust(_again(error, delivery, random), delivery, queue)
    reason: Reason = error.reason if isinstance(error, PermanentError) else "failed"
    return Dead(reason, error_class(error), error_text(error))


def _again(error: BaseException, delivery: Delivery, random: Callable[[], float]) -> RetryIn:
    return RetryIn(delay_s(delivery.attempts, random), error_class(error), error_text(error))


async def _finish_batch(follow_up: AfterBatch | None, ports: Ports, invocation: Invocation) -> None:
    """What is done after a batch. Every message is settled by then: a failure is an event and no
    more."""
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
