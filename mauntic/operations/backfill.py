"""A backfill: select the windows of a range and run them a few at a time.

All state is in the ledger. A window is claimed there and then sent, so no row is locked during a
call to the vendor's API. A claim whose message could not be sent is released. The claim of a killed
command expires with its lease: a tick or the next backfill sends the message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from mauntic.operations import ledger_queries
from mauntic.operations.system import System
from shared.errors import DatabaseError, DatabaseUnreachable
from shared.jobs import Job
from shared.ledger.ledger import LEASE
from shared.ports import Database, Row
from shared.tick.due import Due
from shared.windows import Schedule, Window

Only = Literal["missing", "failed", "all"]

UNANSWERED = ("queued", "running", "sharded", "failed", "waiting")
# Which statuses are run again; a window without a row is missing.
STATUSES: dict[Only, tuple[str, ...]] = {
    "missing": ("missing", *UNANSWERED, "skipped"),
    "failed": ("failed", "dead"),
    "all": ("missing", *UNANSWERED, "skipped", "dead", "succeeded"),
}
CHUNK = 5_000  # windows asked for in one statement


@dataclass(frozen=True)
class Plan:
    """Windows to run with their states, oldest first; windows in progress; counts of the others."""

    todo: list[tuple[Window, str]]
    busy: list[Window]
    left: Counter[str]


@dataclass
class Summary:
    """The outcomes of the windows so far."""

    succeeded: list[Window] = field(default_factory=list)
    changed: list[tuple[Window, int]] = field(default_factory=list)
    dead: list[tuple[Window, str]] = field(default_factory=list)
    busy: list[Window] = field(default_factory=list)
    unanswered: list[Window] = field(default_factory=list)
    rows_read: int = 0
    rows_written: int = 0

    @property
    def ended(self) -> int:
        return len(self.succeeded) + len(self.dead) + len(self.busy) + len(self.unanswered)


def plan(db: Database, job: Job, windows: Sequence[Window], only: Only, now: datetime) -> Plan:
    """Determine what a backfill of these windows would run."""
    states: dict[Window, Row] = {}
    for start in range(0, len(windows), CHUNK):
        states |= ledger_queries.window_states(db, job.type, windows[start : start + CHUNK])
    chosen = Plan([], [], Counter())
    for window in windows:
        row = states.get(window)
        status = row["status"] if row else "missing"
        if row and is_held(row, now):
            chosen.busy.append(window)
        elif status in STATUSES[only]:
            chosen.todo.append((window, status))
        else:
            chosen.left[status] += 1
    return chosen


def is_held(row: Row, now: datetime) -> bool:
    """Return whether the window is in progress: running, or its message or retry is in flight."""
    until = row["lease_until"]
    return row["status"] in UNANSWERED and until is not None and until > now


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Backfill:
    """A backfill in progress, with at most `at_most` windows queued or running."""

    db: Database
    system: System
    queue: str
    job: Job
    schedule: Schedule
    only: Only
    at_most: int
    clock: Callable[[], datetime] = utc_now
    before_retention: bool = False  # write also days before the retained period
    summary: Summary = field(default_factory=Summary)
    _waiting: list[Window] = field(default_factory=list)
    _in_flight: dict[Window, datetime] = field(default_factory=dict)

    def begin(self, chosen: Plan) -> None:
        """Accept the plan's windows; send nothing yet."""
        self._waiting = [window for window, _ in chosen.todo]
        self.summary.busy += chosen.busy

    @property
    def is_done(self) -> bool:
        return not self._waiting and not self._in_flight

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def oldest_open(self) -> Window | None:
        """The oldest window that has not ended."""
        return min((*self._in_flight, *self._waiting), default=None)

    def step(self) -> bool:
        """Poll windows in flight and send more. Return whether a window ended."""
        before = self.summary.ended
        self._look()
        self._send()
        return self.summary.ended > before

    def _send(self) -> None:
        room = self.at_most - len(self._in_flight)
        portion, self._waiting = self._waiting[:room], self._waiting[room:]
        if not portion:
            return
        due = [self._due(window) for window in portion]
        now = self.clock()
        claimed = ledger_queries.claim_backfill(
            self.db,
            self.job.type,
            [(item.window, item.planned) for item in due],
            STATUSES[self.only],
            now,
        )
        windows = {Window(row["window_start"], row["window_end"]) for row in claimed}
        try:
            self.system.send(self.queue, [item.body() for item in due if item.window in windows])
        except BaseException:
            self._waiting = portion + self._waiting
            with suppress(DatabaseError, DatabaseUnreachable):  # the lease expires
                ledger_queries.release_backfill(self.db, self.job.type, claimed, now)
            raise
        self._in_flight |= dict.fromkeys(windows, now + LEASE)
        self.summary.busy += [window for window in portion if window not in windows]

    def _due(self, window: Window) -> Due:
        return Due(
            self.job,
            self.schedule,
            window,
            "backfill",
            before_retention=self.before_retention,
        )

    def _look(self) -> None:
        if not self._in_flight:
            return
        states = ledger_queries.window_states(self.db, self.job.type, list(self._in_flight))
        now = self.clock()
        for window, given_up_at in list(self._in_flight.items()):
            row = states.get(window)
            if row and row["status"] in ("succeeded", "dead"):
                self._end(window, row)
            elif row and is_held(row, now):
                self._in_flight[window] = row["lease_until"]
            elif now > given_up_at:
                del self._in_flight[window]
                self.summary.unanswered.append(window)

    def _end(self, window: Window, row: Row) -> None:
        del self._in_flight[window]
        if row["status"] == "dead":
            self.summary.dead.append((window, f"{row['error_class']}: {row['error_text']}"))
            return
        self.summary.succeeded.append(window)
        if row["rows_written"]:
            self.summary.changed.append((window, row["rows_written"]))
        self.summary.rows_read += row["rows_read"] or 0
        self.summary.rows_written += row["rows_written"] or 0


def summary_json(summary: Summary) -> dict[str, Any]:
    """Return the summary as plain values."""
    return {
        "succeeded": len(summary.succeeded),
        "changed": [{"window": str(window), "rows": rows} for window, rows in summary.changed],
        "dead": [{"window": str(window), "error": error} for window, error in summary.dead],
        "busy": [str(window) for window in summary.busy],
        "unanswered": [str(window) for window in summary.unanswered],
        "rows_read": summary.rows_read,
        "rows_written": summary.rows_written,
    }
