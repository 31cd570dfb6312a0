"""A backfill: which windows of a range are to run, and running them a few at a time.

The ledger is its only memory. A window is claimed there and then sent: no row is locked while the
vendor's API is called. A claim whose message could not be sent is taken back. The claim of a
command that was killed lapses with its lease: a tick sends its message, or the next backfill does.
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
    """The windows to run, oldest first, each with its state now; those that are being run; and how
    many are left alone in which state."""

    todo: list[tuple[Window, str]]
    busy: list[Window]
    left: Counter[str]


@dataclass
class Summary:
    """What became of the windows so far."""

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
    """What a backfill of these windows would run."""
    known: dict[Window, Row] = {}
    for start in range(0, len(windows), CHUNK):
        known |= ledger_queries.window_states(db, job.type, windows[start : start + CHUNK])
    chosen = Plan([], [], Counter())
    for window in windows:
        row = known.get(window)
        status = row["status"] if row else "missing"
        if row and is_held(row, now):
            chosen.busy.append(window)
        elif status in STATUSES[only]:
            chosen.todo.append((window, status))
        else:
            chosen.left[status] += 1
    return chosen


def is_held(row: Row, now: datetime) -> bool:
    """Whether the window is being worked on: it runs, or its message or retry is under way."""
    until = row["lease_until"]
    return row["status"] in UNANSWERED and until is not None and until > now


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Filling:
    """A backfill under way: at most `at_most` windows are queued or running because of it."""

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
        """Take the plan's windows; nothing is sent yet."""
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
        """The first window that has not ended; all before it have."""
        return min((*self._in_flight, *self._waiting), default=None)

    def step(self) -> bool:
        """Look at what is in flight, send what there is room for. Whether a window ended."""
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
            [(one.window, one.planned) for one in due],
            STATUSES[self.only],
            now,
        )
        windows = {Window(row["window_start"], row["window_end"]) for row in claimed}
        try:
            self.system.send(self.queue, [one.body() for one in due if one.window in windows])
        except BaseException:
            self._waiting = portion + self._waiting
            with suppress(DatabaseError, DatabaseUnreachable):  # the lease ends by itself
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


def described(summary: Summary) -> dict[str, Any]:
    """The summary as plain values."""
    return {
        "succeeded": len(summary.succeeded),
        "changed": [{"window": str(window), "rows": rows} for window, rows in summary.changed],
        "dead": [{"window": str(window), "error": error} for window, error in summary.dead],
        "busy": [str(window) for window in summary.busy],
        "unanswered": [str(window) for window in summary.unanswered],
        "rows_read": summary.rows_read,
        "rows_written": summary.rows_written,
    }
