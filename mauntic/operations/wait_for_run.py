"""Wait until a manually sent window ends, by polling the ledger.

The window may have ended before. The fencing token increases with every start and distinguishes the
new run from the old one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from mauntic.errors import OperatorError
from mauntic.operations import ledger_queries
from shared.jobs import Job
from shared.ports import Database, Row
from shared.windows import Window

notices = logging.getLogger(__name__)
POLL_S = 0.2
STALLED_AFTER_S = 30
STALLED = "the run has not ended yet: is its queue paused? see `mauntic queues status`"


def starts_so_far(db: Database, job: Job, window: Window) -> int:
    """Return how many times the window has been started."""
    row = ledger_queries.window_states(db, job.type, [window]).get(window)
    return row["fencing_token"] if row else 0


def end_of(
    db: Database,
    job: Job,
    window: Window,
    token: int,
    timeout_s: int,
    progress: Callable[[str], object] = lambda text: None,
) -> Row:
    """Wait for a run that started after `token` to end, and return the window's row.

    `progress` receives the state of the wait several times a second. Raises OperatorError after
    `timeout_s`.
    """
    began = time.monotonic()
    has_warned = False
    while (waited_s := time.monotonic() - began) < timeout_s:
        row = ledger_queries.window_states(db, job.type, [window]).get(window)
        if row and row["fencing_token"] > token and row["status"] in ("succeeded", "dead"):
            return row
        progress(f"{window} {_so_far(row, token)}, {waited_s:.0f} s")
        if waited_s > STALLED_AFTER_S and not has_warned:
            has_warned = True
            notices.info(STALLED)
        time.sleep(POLL_S)
    raise OperatorError(f"{window} has not ended in {timeout_s} s: see `mauntic runs list`.")


def _so_far(row: Row | None, token: int) -> str:
    if row is None or (row["fencing_token"] <= token and row["status"] in ("succeeded", "dead")):
        return "waits in its queue"
    again = f" after {row['error_class']}" if row["error_class"] else ""
    return f"{row['status']}, attempt {row['attempts']}{again}"
