"""The error of each failed attempt, kept so that a dead letter can say why it died."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.delivery import Delivery
from shared.discreet import told
from shared.errors import error_class
from shared.jobs import Job
from shared.outcome import Dead, RetryIn
from shared.ports import Ports
from shared.sql_blocks import SqlBlocks
from shared.storable import storable

SQL = SqlBlocks(Path(__file__).parent / "sql")


def record(
    delivery: Delivery, job: Job | None, outcome: RetryIn | Dead, queue: str, ports: Ports
) -> None:
    """Keep why this attempt failed. If Postgres is what failed, the log line alone says it."""
    if outcome.error_class == "DatabaseUnreachable":
        return
    with tolerated(ports):
        ports.db.execute(
            SQL["record_failure"],
            queue=queue,
            message_id=delivery.id,
            attempt=delivery.attempts,
            job_type=job.type if job else None,
            body_digest=digest(delivery.body),
            error_class=outcome.error_class,
            error_text=storable(outcome.error_text),
            now=ports.clock(),
        )


@contextmanager
def tolerated(ports: Ports) -> Iterator[None]:
    """Bookkeeping must not decide over a message: if it fails, that is an event and no more."""
    try:
        yield
    except Exception as error:
        ports.log(
            "failure.unrecorded",
            level="warning",
            error_class=error_class(error),
            error=told(error),
        )


def digest(body: object) -> str:
    """Tells equal bodies: the platform may give a dead letter another id than its message had."""
    return hashlib.sha256(json.dumps(storable(body), sort_keys=True).encode()).hexdigest()
