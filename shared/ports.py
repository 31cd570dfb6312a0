"""What a job may reach of the world, as it sees it. The adapters fill these in; so do the fakes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.settings import Settings

Row = dict[str, Any]


class Database(Protocol):
    """One connection, opened at first use, for one invocation.

    Raises DatabaseError where Postgres says no and DatabaseUnreachable where it says nothing.
    """

    def rows(self, sql: str, **parameters: Any) -> list[Row]:
        """What the statement returns, a dict a row."""

    def execute(self, sql: str, **parameters: Any) -> int:
        """How many rows the statement touched."""

    def ahead(self, sql: str) -> None:
        """Runs plain SQL before the next statement of the transaction, and in its round trip. It is
        for savepoints and settings: if no statement follows, it is not run."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commits at its end, rolls back on an exception. Statements in it end after 55 s."""

    def open(self) -> None:
        """Connects, if it has not yet."""

    def close(self) -> None:
        """Gives the connection back; harmless if none was opened."""


@dataclass(frozen=True)
class Backlog:
    """What a queue says of the messages that wait in it. `oldest_at` is when the oldest
    was sent; None where there is none."""

    count: int
    bytes: int
    oldest_at: datetime | None


class Producer(Protocol):
    """A queue to send to. At most 100 messages a call are sent on; longer lists are cut up."""

    async def send(self, bodies: Sequence[dict[str, Any]], delay_s: int = 0) -> None: ...

    async def backlog(self) -> Backlog | None:
        """What waits in the queue; None where the queue does not say. Never raises."""


@dataclass(frozen=True)
class StoredObject:
    """An object of a bucket, by its key and when it was last written."""

    key: str
    uploaded: datetime


class Bucket(Protocol):
    """An R2 bucket. Every method raises StorageError with R2's status."""

    async def get(self, key: str) -> tuple[str, str] | None:
        """(text, etag), or None where there is no such object."""

    async def put(
        self, key: str, text: str, *, if_etag: str | None = None, if_absent: bool = False
    ) -> str | None:
        """Writes and gives the new etag; None where the condition did not hold."""

    async def list(
        self, prefix: str, cursor: str | None = None
    ) -> tuple[list[StoredObject], str | None]:
        """Up to 1,000 objects, and the cursor of the next page if there is one."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Deletes up to 1,000 keys; missing ones are no error."""


class Http(Protocol):
    """The way out."""

    async def post_json(self, url: str, payload: dict[str, Any]) -> int:
        """The answer's status."""

    async def get(self, url: str) -> int:
        """The answer's status."""


Work = Coroutine[Any, Any, None]


def _noop() -> None:
    pass


def _run_inline(work: Work) -> Awaitable[None]:
    return work


@dataclass(frozen=True)
class Ports:
    """Everything outside, handed in. `random` gives numbers in [0, 1).

    `flush` gives out what `log` and `write_point` may have gathered. `connect`, where there is one,
    gives a further connection, to be closed by its caller. `wait_until` takes what is to be done
    once the invocation has answered.
    """

    db: Database
    queue: Producer
    dead_letters: Producer
    http: Http
    settings: Settings
    clock: Callable[[], datetime]
    random: Callable[[], float]
    log: Callable[..., None]
    write_point: Callable[[str, list[str], list[float]], None]
    bucket: Callable[[str], Bucket]
    producer: Callable[[str], Producer | None]
    flush: Callable[[], None] = _noop
    connect: Callable[[], Database] | None = None
    wait_until: Callable[[Work], Awaitable[None]] = _run_inline
