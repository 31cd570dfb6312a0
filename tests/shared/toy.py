"""A worker for tests of the framework: jobs that do what their test sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.jobs import BatchJob, MessageJob, WindowJob, Worker
from shared.messages import Message, WindowMessage
from shared.outcome import Done
from shared.ports import Ports, Row
from shared.queues import Queue
from shared.windows import Schedule, day_before, hour_before
from tests.fakes import FakeBatch, FakeDelivery, World

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


class CpuLimitExceeded(BaseException):
    """Like the platform's: no Exception."""


class Unreadable(FakeDelivery):
    """A delivery whose body cannot be read: that raises."""

    def __init__(self, error: BaseException, text: str = "its text", **fields: Any) -> None:
        super().__init__(None, **fields)
        self.error, self.text = error, text

    @property
    def body(self) -> object:
        raise self.error

    @body.setter
    def body(self, value: object) -> None:
        pass

    def beginning(self) -> str:
        return self.text


class Hourly(WindowMessage):
    type: Literal["toy.hourly"] = "toy.hourly"


class Daily(WindowMessage):
    type: Literal["toy.daily"] = "toy.daily"


class Single(Message):
    type: Literal["toy.single"] = "toy.single"
    data: dict[str, int] = Field(default_factory=dict)


class Listed(Message):
    type: Literal["toy.listed"] = "toy.listed"
    data: dict[str, int] = Field(default_factory=dict)


async def done(*_: object) -> Done:
    """Do nothing."""
    return Done(rows_written=1)


async def all_done(messages: Sequence[Listed], ports: Ports) -> list[Done]:
    return [Done() for _ in messages]


def toy(
    hourly: Any = done, single: Any = done, listed: Any = all_done, max_retries: int = 3
) -> Worker:
    """A worker of four jobs, two of them on a schedule."""
    return Worker(
        name="toy",
        env="toy",
        queues=[Queue("toy-jobs", binding="TOY", max_retries=max_retries)],
        gate="ENABLE_TOY_CRON",
        jobs=[
            WindowJob(
                Hourly,
                hourly,
                Schedule("0 * * * *", hour_before, timedelta(minutes=30)),
                aliases=("toy.by-hour",),
            ),
            WindowJob(Daily, done, Schedule("0 2 * * *", day_before, timedelta(hours=2))),
            MessageJob(Single, single),
            BatchJob(Listed, listed),
        ],
    )


def batch(*deliveries: FakeDelivery) -> FakeBatch:
    return FakeBatch("toy-jobs", deliveries)


def hour_message(end: datetime = NOON, **fields: Any) -> dict[str, Any]:
    """Return the message for the hour that ends then."""
    return {"type": "toy.hourly", "scheduledFor": end.isoformat()} | fields


@contextmanager
def rows_of(url: str) -> Iterator[Callable[..., list[Row]]]:
    """Yield a connection to the database, for inspection."""
    with closing(Postgres(lambda: connect(url))) as db:
        yield db.rows


def runs(url: str) -> dict[str, str]:
    """Map each ledger row (type, start and shard) to its status."""
    with rows_of(url) as look:
        rows = look("select * from ops.job_runs order by job_type, window_start, shard")
    return {
        " ".join(filter(None, [r["job_type"], f"{r['window_start']:%m-%dT%H}", r["shard"]])): r[
            "status"
        ]
        for r in rows
    }


def world(url: str | None, now: datetime = NOON + timedelta(seconds=5)) -> World:
    return World(url, now=now)
