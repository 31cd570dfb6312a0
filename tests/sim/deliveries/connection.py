"""A connection to the real Postgres: in simulated time, with the faults of its invocation.

Other invocations run before and after each statement. A statement that needs a row which another
transaction has locked waits for it in simulated time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pg8000.exceptions import DatabaseError, InterfaceError

from shared.adapters.postgres.session import SETTINGS, begin, whole_session
from tests.sim.deliveries.invocation import IDLE_TIMEOUT_S, Invocation, pause
from tests.sim.deliveries.recorder import NAMES
from tests.sim.faults import ENDS, LOCKED, Pool, Prepared, in_turn

# The settings of each transaction, once for a session: sent every time they cost half of it.
BEGIN, BRIEF = begin(), "begin isolation level read committed read write"
# What they write acts with their commit, which is later.
EFFECTIVE = ("apply_events", "suppress_soft_bounced")


LOCK_WAITS_S = (0.02, 0.05, 0.1, 0.3, 0.5, 1, 2, 4, 6, 10, 15, 11)


@dataclass
class Server:
    """Postgres: `moment` counts the statements in their order."""

    clock: Callable[[], datetime]
    is_out: Callable[[], bool]
    moment: int = 0

    def settings(self, sql: str) -> str:
        """SQL that says, for the triggers, which statement follows."""
        self.moment += 1
        name = NAMES.get(sql, "platform")
        return (
            f"set local sim.moment = '{self.moment}'; set local sim.statement = '{name}';"
            f" set local sim.at = '{self.clock().isoformat()}'"
        )


def settled(connection: Any) -> Any:
    """A connection whose session has the settings of every transaction."""
    connection.run(whole_session(SETTINGS))
    return connection


class TimedConnection:
    """What pg8000's connection is to the adapter."""

    def __init__(self, pool: Pool, invocation: Invocation, server: Server) -> None:
        if server.is_out() and not invocation.is_quick:
            raise OSError("connection refused")
        self._pool, self._invocation, self._server = pool, invocation, server
        self._real: Prepared | None = pool.take()
        self._acts_at_commit = False

    @property
    def columns(self) -> Any:
        return self._open.columns

    @property
    def row_count(self) -> int:
        return self._open.row_count

    @property
    def _open(self) -> Prepared:
        assert self._real is not None
        return self._real

    def run(self, sql: str) -> Any:
        return self.run_between("", sql, "")

    def run_together(self, before: str, statements: Any, after: str) -> list[tuple[Any, list[Any]]]:
        return in_turn(self, before, statements, after)

    def run_between(self, before: str, sql: str, after: str, /, **parameters: Any) -> Any:
        """Prepare each statement once; so what comes before and after it is sent apart from it."""
        self._meet(self._invocation.before())
        self._wait(self._invocation.latency_s())
        if NAMES.get(sql) == "begin_call":
            self._invocation.call_id = parameters["call_id"]
        if sql == "commit" and self._acts_at_commit:
            self._open.run(self._server.settings(sql))
        self._acts_at_commit = NAMES.get(sql) in EFFECTIVE or (
            self._acts_at_commit and sql not in ENDS
        )
        rows = self._when_unlocked(before, sql, parameters, bool(after))
        if NAMES.get(sql) == "repeatable_request":
            self._invocation.call_id = parameters["call_id"]
            self._invocation.checked_at = self._server.moment
        if after:
            self._open.end(after)
        if (after or sql == "commit") and self._invocation.after():
            self.break_off()
        self._wait(self._invocation.latency_s())
        return rows

    def _meet(self, fault: str | None) -> None:
        if fault == "dead":
            raise InterfaceError("the isolate is gone")
        if fault == "break before":
            self.break_off()
        if fault == "stall":
            self._stall(self._invocation.stall_s())
        if fault == "race":
            pause(1)

    def _stall(self, seconds: float) -> None:
        if not self._open.is_in_transaction or seconds < IDLE_TIMEOUT_S:
            pause(seconds)
            return
        pause(IDLE_TIMEOUT_S)
        self._open.roll_back()
        pause(seconds - IDLE_TIMEOUT_S)
        self.break_off()

    def _wait(self, seconds: float) -> None:
        if seconds:
            pause(seconds)
        if self._real is not None and self._server.is_out() and not self._invocation.is_quick:
            self.break_off()

    def _when_unlocked(
        self, before: str, sql: str, parameters: dict[str, Any], is_alone: bool
    ) -> Any:
        for seconds in LOCK_WAITS_S:
            try:
                return self._try(before, sql, parameters)
            except DatabaseError as error:
                is_locked = error.args[0]["C"] == LOCKED and sql not in ENDS
                if before and (is_alone or is_locked):
                    self._open.roll_back()
                if not is_locked:
                    raise
            if not before:
                self._open.run("rollback to savepoint lane")
            pause(seconds)
        return self._try(before, sql, parameters)

    def _try(self, before: str, sql: str, parameters: dict[str, Any]) -> Any:
        if sql in ENDS:
            return self._open.run(sql)
        settings = self._server.settings(sql)
        if before:
            self._open.begin(f"{before.replace(BEGIN, BRIEF)}; {settings}")
        else:
            self._open.run(f"savepoint lane; {settings}")
        return self._open.run(sql, **parameters)

    def break_off(self) -> None:
        """The network is gone; the server rolls back what was not committed."""
        self.close()
        raise InterfaceError("network error")

    def close(self) -> None:
        if self._real is not None:
            self._real.roll_back()
            self._pool.idle.append(self._real)
            self._real = None
