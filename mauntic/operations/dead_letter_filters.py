"""Which dead letters an operator means, and whether there can be any such."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import get_args

from mauntic.errors import OperatorError
from mauntic.operations import ledger_queries
from mauntic.operations.ledger_queries import DeadLetterFilter
from mauntic.operations.worker_catalog import instead, queue_names, workers
from shared.outcome import Reason
from shared.ports import Database, Row

notices = logging.getLogger(__name__)
REASONS: tuple[Reason, ...] = get_args(Reason)


def which_letters(
    ids: list[int] | None,
    queue: str | None,
    kind: str | None,
    reason: str | None,
    older: timedelta | None,
    newer: timedelta | None,
) -> DeadLetterFilter:
    """What the options say, none of which need be given."""
    now = datetime.now(UTC)
    return DeadLetterFilter(
        ids=ids or None,
        queue=queue,
        job_type=_canonical(kind),
        reason=reason,
        dead_before=now - older if older else None,
        dead_after=now - newer if newer else None,
    )


def _canonical(kind: str | None) -> str | None:
    """The job of one of its spellings; a retired one stays as it is."""
    jobs = (one.by_type[kind] for one in workers() if kind in one.by_type)
    return next((job.type for job in jobs), kind)


def refuse_unknown(db: Database, which: DeadLetterFilter) -> None:
    """A queue, type or reason that nothing has is a typing error, not a filter that finds nothing.
    The types of retired jobs are known from the letters that they left."""
    names = ledger_queries.dead_letter_names(db)
    known = {
        "queue": {*names["queues"], *queue_names()},
        "job_type": {*names["job_types"], *(kind for one in workers() for kind in one.by_type)},
        "reason": {*names["reasons"], *REASONS},
    }
    for field, values in known.items():
        asked = getattr(which, field)
        if asked and asked not in values:
            what = field.replace("_", " ")
            raise OperatorError(
                f"No dead letter has the {what} {asked}{instead(asked, sorted(values))}"
            )


def chosen(db: Database, which: DeadLetterFilter, everything: bool) -> list[Row]:
    """The letters that are meant. One that is named but does not exist is a mistake; one that is no
    longer dead is not: what was asked for has been done."""
    if not which.narrows and not everything:
        raise OperatorError("Say which: numbers, a filter such as --queue or --older, or --all.")
    refuse_unknown(db, which)
    letters = ledger_queries.dead_letters(db, which)
    if which.ids:
        known = ledger_queries.dead_letters(db, DeadLetterFilter(ids=which.ids, status=None))
        absent = set(which.ids) - {letter["id"] for letter in known}
        if absent:
            raise OperatorError(f"There is no dead letter {', '.join(map(str, sorted(absent)))}.")
        _tell_left_out(known, {letter["id"] for letter in letters})
    return letters


def _tell_left_out(known: list[Row], taken: set[int]) -> None:
    """Which of the letters that were named are not taken, by reason."""
    reasons: dict[str, list[str]] = {}
    for letter in sorted(known, key=lambda row: int(row["id"])):
        if letter["id"] not in taken:
            is_dead = letter["status"] == "dead"
            why = "does not match the filters" if is_dead else f"{letter['status']} already"
            reasons.setdefault(why, []).append(str(letter["id"]))
    for why, numbers in reasons.items():
        notices.info("left out: %s (%s)", ", ".join(numbers), why)
