"""Call `on_dead` of the jobs whose messages died, in the transaction that archives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.errors import is_retryable
from shared.flow.parse import parsed_body
from shared.jobs import DeadLetter, Worker
from shared.ports import Database, Row


class OnDeadFailed(Exception):
    """`on_dead` of a job raised an error that is not retried."""

    def __init__(self, job_type: str, error: Exception) -> None:
        super().__init__(job_type)
        self.job_type, self.error = job_type, error


def call_on_dead(rows: Sequence[Row], worker: Worker, db: Database) -> None:
    """Pass the new rows of each job that has an `on_dead` to it."""
    for job in worker.jobs:
        own = [row for row in rows if row["job_type"] == job.type]
        if job.on_dead is None or not own:
            continue
        try:
            job.on_dead([_dead_letter(row, worker) for row in own], db)
        except Exception as error:
            if is_retryable(error):
                raise
            raise OnDeadFailed(job.type, error) from error


def _dead_letter(row: Row, worker: Worker) -> DeadLetter[Any]:
    message = parsed_body(row["body"], worker)
    return DeadLetter(
        row["id"], message, row["body"], row["reason"], row["error"], row["message_id"]
    )
