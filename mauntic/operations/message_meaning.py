"""Determine what a message means for its worker: its window and its ignored fields."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches

from mauntic.project.printable import count_of
from shared.flow.intake import Intake
from shared.flow.parse import ParsedMessage, read
from shared.jobs import Job
from shared.messages import WindowMessage, object_meant
from shared.windows import Window

NEVER = datetime.min.replace(tzinfo=UTC)
MARK = "redrivenFrom"  # what a redrive adds to a body
WARNINGS_MAX = 20


@dataclass(frozen=True)
class Draft:
    """A delivery that has not been sent, with the attributes that `read` needs."""

    body: object
    id: str = ""
    attempts: int = 1
    sent_at: datetime = NEVER

    def ack(self) -> None:
        """Do nothing: it was never delivered."""

    def retry(self, delay_s: int) -> None:
        """Do nothing: it was never delivered."""


@dataclass(frozen=True)
class Meaning:
    """The window that a message runs, and its ignored fields.

    `window` is None if the job has no schedule.
    """

    job: Job
    window: Window | None
    ignored_fields: tuple[str, ...]


def meaning_of(body: object, intake: Intake, now: datetime) -> Meaning:
    """Return the meaning of a valid body that is sent now."""
    letter = read(Draft(body, sent_at=now), intake.worker, intake.queue)
    assert isinstance(letter, ParsedMessage)
    declared = {field.alias or name for name, field in type(letter.message).model_fields.items()}
    found = object_meant(body) or {}
    ignored = tuple(name for name in found if name not in declared | {MARK})
    schedule, message = letter.job.schedule, letter.message
    if schedule is None or not isinstance(message, WindowMessage):
        return Meaning(letter.job, None, ignored)
    return Meaning(letter.job, schedule.window_of(message.planned(now)), ignored)


def ignored_fields(meanings: Sequence[Meaning]) -> Iterator[str]:
    """Yield a warning for each field that no worker reads: its name may be misspelled."""
    fields = Counter((m.job, name) for m in meanings for name in m.ignored_fields)
    for (job, name), count in list(fields.items())[:WARNINGS_MAX]:
        fields_of_job = [field.alias or own for own, field in job.message.model_fields.items()]
        by_case = {field.casefold(): field for field in fields_of_job}
        near = get_close_matches(name.casefold(), by_case, n=1)
        meant = f": did you mean {by_case[near[0]]}?" if near else ""
        where = f" in {count_of(count, 'message')}" if count > 1 else ""
        yield (f"{json.dumps(name)} is not a field of {job.type}{where} and is ignored{meant}")
