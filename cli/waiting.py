"""Waiting for a window that was sent by hand to end; the ledger tells.

A window may have ended before: the fencing token rises with every start, so that an old end is not
taken for the new one.
"""

from __future__ import annotations

import time

from rich.markup import escape

from cli import records
from cli.options import interrupted
from cli.output import Refusal, busy, remark
from shared.jobs import Job
from shared.ports import Database, Row
from shared.windows import Window

POLL_S = 0.2
STALLED_AFTER_S = 30
STALLED = "it has not ended for a while: is its queue paused? see `mauntic queues status`"


def starts_so_far(db: Database, job: Job, window: Window) -> int:
    """How often the window has been started so far."""
    row = records.window_states(db, job.type, [window]).get(window)
    return row["fencing_token"] if row else 0


def end_of(db: Database, job: Job, window: Window, token: int, timeout_s: int) -> Row:
    """The window's row once a start after `token` has ended. Ctrl-C ends the waiting alone."""
    try:
        return _end_of(db, job, window, token, timeout_s)
    except KeyboardInterrupt:
        see = f"`mauntic runs show {job.type} {window.start:%Y-%m-%dT%H:%MZ}`"
        interrupted(f"its message stays queued, and {window} is run by itself: see {see}")


def _end_of(db: Database, job: Job, window: Window, token: int, timeout_s: int) -> Row:
    began = time.monotonic()
    is_told = False
    with busy("waiting") as shown:
        while (waited_s := time.monotonic() - began) < timeout_s:
            row = records.window_states(db, job.type, [window]).get(window)
            if row and row["fencing_token"] > token and row["status"] in ("succeeded", "dead"):
                return row
            if shown:
                shown.update(escape(f"{window} {_so_far(row, token)}, {waited_s:.0f} s"))
            if waited_s > STALLED_AFTER_S and not is_told:
                is_told = True
                remark(STALLED)
            time.sleep(POLL_S)
    raise Refusal(f"{window} has not ended in {timeout_s} s: see `mauntic runs list`.")


def _so_far(row: Row | None, token: int) -> str:
    if row is None or (row["fencing_token"] <= token and row["status"] in ("succeeded", "dead")):
        return "waits in its queue"
    again = f" after {row['error_class']}" if row["error_class"] else ""
    return f"{row['status']}, attempt {row['attempts']}{again}"
