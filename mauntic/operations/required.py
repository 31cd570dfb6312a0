"""What an operator names must exist: otherwise an error says where to look."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from mauntic.errors import OperatorError
from mauntic.operations.worker_catalog import suggestion
from shared.ports import Row


def require_row(rows: Sequence[Row], kind: str, key: UUID | str, listed_by: str) -> Row:
    """Return the first row; OperatorError if there is none. `listed_by` is a command that shows
    the ids.
    """
    if not rows:
        raise OperatorError(f"There is no {kind} {key}: `mauntic {listed_by}` shows their ids.")
    return rows[0]


def require_names(given: Sequence[str], valid: Sequence[str], kind: str) -> None:
    """Raise OperatorError for a name that is not valid; it suggests the nearest."""
    for name in given:
        if name not in valid:
            raise OperatorError(f"There is no {kind} {name}{suggestion(name, list(valid))}")
