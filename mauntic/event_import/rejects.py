"""The file that lists what was refused: line, number within the line, reason. No personal data."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mauntic.errors import OperatorError
from mauntic.event_import.event import REASONS, Place

Reject = Callable[[Place, str], None]


@contextmanager
def open_rejects(path: str | None) -> Iterator[Reject]:
    """Yield a function that adds a row; without a path it does nothing."""
    if path is None:
        yield lambda place, reason: None
        return
    try:
        file = Path(path).open("w", encoding="utf-8", newline="")  # noqa: SIM115
    except OSError as error:
        raise OperatorError(
            f"--rejects {path} cannot be written: {type(error).__name__}."
        ) from None
    with file:
        rows = csv.writer(file)
        rows.writerow(("line", "item", "reason", "remedy"))
        yield lambda place, reason: rows.writerow((*place, reason, REASONS[reason]))
