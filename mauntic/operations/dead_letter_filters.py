"""Select dead letters by the operator's filters, and reject filters that can match nothing."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import get_args

from mauntic.errors import OperatorError
from mauntic.operations import ledger_queries
from mauntic.operations.ledger_queries import DeadLetterFilter
from mauntic.operations.worker_catalog import queue_names, suggestion, workers
from shared.outcome import Reason
from shared.ports import Database, Row

notices = logging.getLogger(__name__)
REASONS: tuple[Reason, ...] = get_args(Reason)


def filter_from_options(
    ids: list[int] | None,
    queue: str | None,
    job_type: str | None,
    reason: str | None,
    older: timedelta | None,
    newer: timedelta | None,
) -> DeadLetterFilter:
    """Build the filter from the options, all of which are optional."""
    now = datetime.now(UTC)
    return DeadLetterFilter(
        ids=ids or None,
        queue=queue,
        job_type=_canonical(job_type),
        reason=reason,
        dead_before=now - older if older else None,
        dead_after=now - newer if newer else None,
    )


def _canonical(job_type: str | None) -> str | None:
    """Return the job's type for any of its names; a retired type stays unchanged."""
    jobs = (worker.by_type[job_type] for worker in workers() if job_type in worker.by_type)
    return next((job.type for job in jobs), job_type)


def refuse_unknown(db: Database, filters: DeadLetterFilter) -> None:
    """Reject a queue, type or reason that does not exist: it is a typing error.

    Types of retired jobs are taken from their dead letters.
    """
    names = ledger_queries.dead_letter_names(db)
    existing = {
        "queue": {*names["queues"], *queue_names()},
        "job_type": {
            *names["job_types"],
            *(name for worker in workers() for name in worker.by_type),
        },
        "reason": {*names["reasons"], *REASONS},
    }
    for field, values in existing.items():
        value = getattr(filters, field)
        if value and value not in values:
            label = field.replace("_", " ")
            raise OperatorError(
                f"No dead letter has the {label} {value}{suggestion(value, sorted(values))}"
            )


def select(db: Database, filters: DeadLetterFilter, everything: bool) -> list[Row]:
    """Return the selected dead letters.

    An id that does not exist is an error. One that is no longer dead is only reported: it has
    already been handled.
    """
    if not filters.narrows and not everything:
        raise OperatorError(
            "Name the dead letters: pass ids, a filter such as --queue or --older, or --all."
        )
    refuse_unknown(db, filters)
    letters = ledger_queries.dead_letters(db, filters)
    if filters.ids:
        existing = ledger_queries.dead_letters(db, DeadLetterFilter(ids=filters.ids, status=None))
        absent = set(filters.ids) - {letter["id"] for letter in existing}
        if absent:
            raise OperatorError(f"No dead letter {', '.join(map(str, sorted(absent)))} found.")
        _report_left_out(existing, {letter["id"] for letter in letters})
    return letters


def _report_left_out(existing: list[Row], taken: set[int]) -> None:
    """Report which of the named dead letters are left out, by reason."""
    reasons: dict[str, list[str]] = {}
    for letter in sorted(existing, key=lambda row: int(row["id"])):
        if letter["id"] not in taken:
            is_dead = letter["status"] == "dead"
            why = "does not match the filters" if is_dead else f"{letter['status']} already"
            reasons.setdefault(why, []).append(str(letter["id"]))
    for why, numbers in reasons.items():
        notices.info("left out: %s (%s)", ", ".join(numbers), why)
