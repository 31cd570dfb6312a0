"""Settle a delivery: ack, retry or bury it, and measure.

Only this module answers the queue. Failures are recorded before the answer; successes are reported
when no sender waits any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from shared.flow import attempts, dead_letters
from shared.flow.delivery import Delivery
from shared.flow.intake import Intake
from shared.flow.parse import ParsedMessage, Rejected
from shared.outcome import Dead, Done, Outcome, RetryIn, Sharded
from shared.ports import Ports
from shared.queues import Queue
from shared.telemetry import metrics
from shared.telemetry.metrics import Metric
from shared.telemetry.redaction import safe_text


@dataclass
class Invocation:
    """A worker's batch in progress. `cpu_exhausted` is the platform's error after the CPU time is
    used up; `pending_metrics` report the successes without a metric point.
    """

    intake: Intake
    cpu_exhausted: BaseException | None = None
    pending_metrics: list[Callable[[], None]] = field(default_factory=list)

    def flush_metrics(self, ports: Ports) -> None:
        """Write the metrics since the last flush, after the answers."""
        done, self.pending_metrics = self.pending_metrics, []
        for measure in done:
            measure()
        ports.flush()


async def settle(
    parsed: ParsedMessage | Rejected,
    outcome: Outcome,
    started: datetime,
    ended: datetime,
    ports: Ports,
    invocation: Invocation,
) -> None:
    """Answer the queue once, by the outcome, and measure. `started` and `ended` are the times of
    the group in which the message was handled.
    """
    delivery, queue = parsed.delivery, invocation.intake.queue
    if isinstance(outcome, RetryIn) and _can_be_buried(parsed):
        outcome = retry_or_exhaust(outcome, delivery, queue)
    if isinstance(outcome, Dead):
        outcome = await dead_letters.bury(parsed, outcome, queue, ports)
    if isinstance(outcome, RetryIn):
        attempts.record(delivery, parsed.job, outcome, queue.name, ports)
        delivery.retry(outcome.delay_s)
    else:
        delivery.ack()
    measure = partial(_measure, parsed, outcome, started, ended, invocation.intake, ports)
    if isinstance(outcome, RetryIn | Dead):
        measure()
    else:
        invocation.pending_metrics.append(measure)


def _can_be_buried(parsed: ParsedMessage | Rejected) -> bool:
    return isinstance(parsed, ParsedMessage) or parsed.is_legible


def retry_or_exhaust(outcome: RetryIn, delivery: Delivery, queue: Queue) -> RetryIn | Dead:
    """Replace a retry after the last delivery, which the platform would drop without its error."""
    if delivery.attempts < queue.deliveries_max:
        return outcome
    return Dead("exhausted", outcome.error_class, outcome.error_text)


def _measure(
    parsed: ParsedMessage | Rejected,
    outcome: Outcome,
    started: datetime,
    ended: datetime,
    intake: Intake,
    ports: Ports,
) -> None:
    delivery, job = parsed.delivery, parsed.job
    message = parsed.message if isinstance(parsed, ParsedMessage) else None
    done = outcome if isinstance(outcome, Done) else Done()
    wrong = outcome if isinstance(outcome, RetryIn | Dead) else None
    metric = Metric(
        queue=intake.queue.name,
        worker=intake.worker.name,
        type=job.type if job else "unknown",
        status=_status(outcome),
        attempts=delivery.attempts,
        duration_ms=_ms_between(started, ended),
        lag_ms=_ms_between(delivery.sent_at, started),
        rows_read=done.rows_read,
        rows_written=done.rows_written,
        error_class=wrong.error_class if wrong else "",
        organization_id=done.organization_id or "",
        trigger=message.trigger if message else "",
    )
    metrics.write(
        metric,
        ports,
        message_id=delivery.id,
        correlation_id=message.correlation_id if message else None,
        error=safe_text(wrong.error_class, wrong.error_text) if wrong else None,
        shard=parsed.shard_key if isinstance(parsed, ParsedMessage) else "",
        delay_s=outcome.delay_s if isinstance(outcome, RetryIn) else None,
    )


def _ms_between(start: datetime, end: datetime) -> int:
    """Return a lag that is never negative: the clocks of two machines, or one that is set back, may
    disagree.
    """
    return max(0, round((end - start).total_seconds() * 1_000))


def _status(outcome: Outcome) -> str:
    match outcome:
        case Done() | Sharded():
            return "ack"
        case RetryIn():
            return "retry"
        case Dead():
            return "dead"
