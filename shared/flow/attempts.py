"""The error of each failed attempt, kept for the message's dead letter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

from shared.body_limits import kept_part
from shared.errors import error_class
from shared.flow.containment import ends_the_task
from shared.flow.delivery import Delivery
from shared.jobs import Job
from shared.outcome import Dead, RetryIn
from shared.ports import Ports
from shared.sanitize import sanitize
from shared.sql.statements import SQL
from shared.telemetry.redaction import describe_error


def record(
    delivery: Delivery, job: Job | None, outcome: RetryIn | Dead, queue: str, ports: Ports
) -> None:
    """Record why this attempt failed. If Postgres failed, only the log line has the reason."""
    if outcome.error_class == "DatabaseUnreachable":
        return
    with best_effort(ports):
        ports.db.execute(
            SQL["record_failure"],
            queue=queue,
            message_id=delivery.id,
            attempt=delivery.attempts,
            job_type=job.type if job else None,
            body_digest=digest(delivery.body),
            error_class=outcome.error_class,
            error_text=sanitize(outcome.error_text),
            now=ports.clock(),
        )


@contextmanager
def best_effort(ports: Ports) -> Iterator[None]:
    """Recording a failure must never change a message's outcome: log the error and continue."""
    try:
        yield
    except BaseException as error:
        if ends_the_task(error):
            raise
        ports.log(
            "attempt.record_failed",
            level="warning",
            error_class=error_class(error),
            error=describe_error(error),
        )


def digest(body: object) -> str:
    """Return a digest that is equal for bodies with the same kept part. A dead letter finds its
    failures by it if the platform gave it another id than its message had.
    """
    return hashlib.sha256(json.dumps(kept_part(body), sort_keys=True).encode()).hexdigest()
