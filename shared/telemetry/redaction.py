"""The part of an error that a log line may contain: nothing from a message or a row.

The table of shared/errors.py lists the errors whose text is safe to log. Of any other error the log
has the class and the traceback. Its text stays in Postgres: with the run (`ops.job_runs`), the
failed attempt (`ops.message_failures`) or the dead letter (`ops.dead_letters`).
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from shared.error_text import error_text
from shared.errors import SAFE_TO_LOG, error_class, join_error
from shared.sanitize import visible


def safe_text(name: str, text: str) -> str | None:
    """Return the text of an error of class `name`, escaped for a terminal; None if it is not safe.

    >>> safe_text("DatabaseError:40P01", "deadlock"), safe_text("KeyError", "'eve@example.org'")
    ('deadlock', None)
    """
    return visible(text) if name.partition(":")[0] in SAFE_TO_LOG else None


def describe_error(error: BaseException) -> str:
    """Return the error's class, and its text if that is safe to log."""
    name = error_class(error)
    return join_error(name, safe_text(name, error_text(error)))


def safe_traceback(error: BaseException) -> str:
    """Return the traceback, earliest error first, without texts that are not safe to log."""
    return "\n".join(
        f"Traceback (most recent call last):\n{''.join(traceback.format_tb(link.__traceback__))}"
        f"{describe_error(link)}\n"
        for link in reversed(list(_chain(error)))
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and the errors that caused it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
