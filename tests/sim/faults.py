"""Faults that the seed chooses, inserted where the code calls its environment."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any

from pg8000.converters import array_out
from pg8000.exceptions import DatabaseError, InterfaceError

from shared.adapters.queue import BoundQueue
from shared.errors import StorageError
from shared.ports import Backlog, StoredObject
from tests.sim.lanes import LOCK_TURNS_MAX, yield_after_statement, yield_turn
from tests.sim.notary import BEFORE_STATEMENT

FAULTY = 0.15  # the share of invocations with a fault
STATEMENTS = 16  # within this number of statements
ENDS = ("commit", "rollback")  # statements that take no lock
LOCKED = "55P03"
IMPATIENT = "set lock_timeout = '20ms'"
IDLE = b"I"  # a connection outside of a transaction
KINDS = (
    "die before", "die after", "break before", "break after", "break after", "stall", "stall",
    "queue", "half a queue", "storage", "time used up",
)  # fmt: skip


class Died(KeyboardInterrupt):
    """The isolate is gone: nothing more happens in it, and nothing may stop its end."""


class CpuLimitExceeded(BaseException):
    """The platform's exception, recognized by its name."""


@dataclass
class Invocation:
    """One run of a worker, with its fault and the statement at which it occurs."""

    kind: str | None
    at_statement: int
    stall: Callable[[], None]
    statements: int = 0
    is_dead: bool = False
    met_trouble: bool = False  # a fault did occur
    lanes: Random | None = None  # chooses when a lane yields to the others; None without lanes

    def before(self, connection: FaultyConnection) -> None:
        if self.is_dead:
            raise InterfaceError("nobody is there to ask")
        self.statements += 1
        if self.statements != self.at_statement:
            return
        if self.kind == "die before":
            self.die()
        if self.kind == "break before":
            connection.break_off()
        if self.kind == "stall":
            self.stall()
        if self.kind == "time used up":
            self.met_trouble = True
            raise CpuLimitExceeded

    def after(self, connection: FaultyConnection, sql: str) -> None:
        """Choose a lost answer, or a death after the work: usually of a commit."""
        due = self.statements >= self.at_statement
        if self.kind == "die after" and due and sql == "commit":
            self.die()
        if self.kind == "break after" and due and sql == "commit":
            self.kind = None
            connection.break_off()

    def die(self) -> None:
        self.is_dead = self.met_trouble = True
        raise Died


@dataclass
class Faults:
    """The faults of the environment: outages of Postgres, and occasional faults of an
    invocation.
    """

    rng: Random
    outages: Sequence[tuple[datetime, datetime]] = ()
    is_calm: bool = False

    def invocation(self, stall: Callable[[], None] | None) -> Invocation:
        if self.is_calm or self.rng.random() > FAULTY:
            return Invocation(None, 0, lambda: None)
        kind = self.rng.choice(KINDS)
        if kind == "stall" and stall is None:
            return Invocation(None, 0, lambda: None)
        return Invocation(kind, self.rng.randint(1, STATEMENTS), stall or (lambda: None))

    def is_out(self, now: datetime) -> bool:
        return not self.is_calm and any(start <= now < end for start, end in self.outages)


# A tick sends the same times as the tick before it: writing them again took a third of the time.
written_out = lru_cache(maxsize=50_000, typed=True)(array_out)


def written_list(values: Sequence[Any]) -> str:
    return f"{{{','.join(map(written_out, values))}}}"


class Prepared:
    """A real connection that prepares each statement once: one round trip instead of three."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        # What is larger than one buffer would wait 40 ms for an acknowledgement of its first part.
        self._connection._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.register_out_adapter(list, written_list)
        self._statements: dict[str, Any] = {}
        self._last: Any = None
        # Concurrent invocations run on one thread here, so none may wait long for another's lock.
        # With a few rows planning would cost more than execution.
        self._connection.run(
            f"{IMPATIENT}; set deadlock_timeout = '10ms'; set plan_cache_mode = force_generic_plan"
        )

    def begin(self, sql: str) -> None:
        """Begin a transaction, if there is one to begin."""
        if sql:
            self._connection.run(f"{sql}; {IMPATIENT}")

    def end(self, sql: str) -> None:
        """End it; columns and rows stay those of the statement before."""
        self._connection.run(sql)

    def run(self, sql: str, **parameters: Any) -> Any:
        if not parameters:
            rows = self._connection.run(sql)
            self._last = self._connection._context
            return rows
        if sql not in self._statements:
            self._statements[sql] = self._connection.prepare(sql)
        rows = self._statements[sql].run(**parameters)
        self._last = self._statements[sql]._context
        return rows

    @property
    def columns(self) -> Any:
        return self._last.columns

    @property
    def row_count(self) -> int:
        return int(self._last.row_count)

    @property
    def is_in_transaction(self) -> bool:
        return bool(self._connection._transaction_status != IDLE)

    def roll_back(self) -> None:
        if self.is_in_transaction:
            self._connection.run("rollback")

    def close(self) -> None:
        self._connection.close()


@dataclass
class Pool:
    """Real connections, pooled like Hyperdrive's: connecting costs more than everything else."""

    connect: Callable[[], Any]
    idle: list[Prepared] = field(default_factory=list)

    def take(self) -> Prepared:
        return self.idle.pop() if self.idle else Prepared(self.connect())

    def close(self) -> None:
        for real in self.idle:
            real.close()


def in_turn(
    connection: Any, before: str, statements: Sequence[tuple[str, Mapping[str, Any]]], after: str
) -> list[tuple[Any, list[Any]]]:
    """Run statements one after the other that a worker sends together: a fault meets each."""
    answers = []
    for sql, parameters in statements:
        rows = connection.run_between(before, sql, "", **parameters)
        answers.append((connection.columns, rows or []))
        before = ""
    if after:
        connection.run(after)
    return answers


class FaultyConnection:
    """What pg8000's connection is to the adapter."""

    def __init__(self, pool: Pool, invocation: Invocation, is_out: Callable[[], bool]) -> None:
        if is_out():
            raise OSError("connection refused")
        self._pool, self._invocation, self._is_out = pool, invocation, is_out
        self._real: Prepared | None = pool.take()

    @property
    def columns(self) -> Any:
        assert self._real is not None
        return self._real.columns

    @property
    def row_count(self) -> int:
        assert self._real is not None
        return self._real.row_count

    def run(self, sql: str) -> Any:
        return self.run_between("", sql, "")

    def run_together(self, before: str, statements: Any, after: str) -> list[tuple[Any, list[Any]]]:
        return in_turn(self, before, statements, after)

    def run_between(self, before: str, sql: str, after: str, /, **parameters: Any) -> Any:
        """The same one after the other: a prepared statement cannot go out with others."""
        self._invocation.before(self)
        if self._is_out():
            self.break_off()
        assert self._real is not None
        self._real.begin(before)
        try:
            if sql in BEFORE_STATEMENT:
                self._run(BEFORE_STATEMENT[sql], parameters)
            rows = self._run(sql, parameters)
        except DatabaseError:
            if after:
                self._real.roll_back()
            raise
        if after:
            self._real.end(after)
        self._invocation.after(self, sql)
        if self._invocation.lanes:
            yield_after_statement(self._invocation.lanes)
        return rows

    def _run(self, sql: str, parameters: dict[str, Any]) -> Any:
        """The statement; where another lane holds a lock, it waits its turn as on a server."""
        assert self._real is not None
        if not (self._invocation.lanes and self._real.is_in_transaction and sql not in ENDS):
            return self._real.run(sql, **parameters)
        for _ in range(LOCK_TURNS_MAX):
            self._real.run("savepoint lane")
            try:
                return self._real.run(sql, **parameters)
            except DatabaseError as error:
                if error.args[0]["C"] != LOCKED:
                    raise
            self._real.run("rollback to savepoint lane")
            yield_turn()
        return self._real.run(sql, **parameters)

    def break_off(self) -> None:
        """The network is gone; the server rolls back what was not committed."""
        self._invocation.met_trouble = True
        self.close()
        raise InterfaceError("network error")

    def close(self) -> None:
        if self._real is not None:
            self._real.roll_back()
            self._pool.idle.append(self._real)
            self._real = None


class FaultyBinding:
    """A queue's binding: `take(body, delay)` puts a message into the queue."""

    def __init__(self, take: Callable[[Any, int], object], invocation: Invocation) -> None:
        self._take, self._invocation = take, invocation

    async def sendBatch(self, messages: list[dict[str, Any]]) -> None:
        kind = self._invocation.kind
        if self._invocation.is_dead:
            raise RuntimeError("nobody is there to send")
        if kind in ("queue", "half a queue"):
            self._invocation.kind, self._invocation.met_trouble = None, True
            messages = messages[: len(messages) // 2] if kind == "half a queue" else []
        for message in messages:
            self._take(message["body"], message.get("delaySeconds", 0))
        if kind in ("queue", "half a queue"):
            raise RuntimeError("Queue send failed")


class MeasuredQueue(BoundQueue):
    """A queue that answers how much waits in it, mostly; without a loop there is no time limit."""

    def __init__(self, binding: Any, measure: Callable[[], Backlog | None]) -> None:
        super().__init__(binding)
        self._measure = measure

    async def backlog(self) -> Backlog | None:
        return self._measure()


class FaultyBucket:
    """A Bucket in memory."""

    def __init__(self, held: dict[str, str], invocation: Invocation, rng: Random) -> None:
        self._held, self._invocation, self._rng = held, invocation, rng

    def _trouble(self) -> None:
        if self._invocation.kind == "storage":
            self._invocation.kind = None
            raise StorageError(self._rng.choice([429, 500, 503]), "trouble")

    async def get(self, key: str) -> tuple[str, str] | None:
        self._trouble()
        return (self._held[key], str(hash(self._held[key]))) if key in self._held else None

    async def put(
        self, key: str, text: str, *, if_etag: str | None = None, if_absent: bool = False
    ) -> str | None:
        raise NotImplementedError("no job writes")

    async def list(
        self, prefix: str, cursor: str | None = None
    ) -> tuple[list[StoredObject], str | None]:
        self._trouble()
        keys = sorted(key for key in self._held if key.startswith(prefix) and key > (cursor or ""))
        found = [StoredObject(key, datetime.min.replace(tzinfo=UTC)) for key in keys[:3]]
        return found, keys[2] if len(keys) > 3 else None

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._held.pop(key, None)
        self._trouble()


def draw_outages(rng: Random, start: datetime, days: int) -> list[tuple[datetime, datetime]]:
    """A few outages, mostly short, one of many hours now and then."""
    outages = []
    for _ in range(rng.randint(0, 4)):
        begin = start + timedelta(hours=rng.uniform(0, days * 24))
        outages.append((begin, begin + timedelta(minutes=rng.choice([2, 20, 70, 400, 1_200]))))
    return outages
