"""How a job is declared and found. Adding a job is adding one file with a `JOB` in it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from shared.ledger import ledger
from shared.messages import Message, WindowMessage
from shared.ports import Database, Ports
from shared.retry import ceiling_s
from shared.windows import CATCH_UP_AGE_MAX, Schedule

Handler = Callable[..., Awaitable[Any]]

# Any moment will do: windows are arithmetic.
SOME_TIME = datetime(2026, 3, 31, 12, 34, tzinfo=UTC)
# The ledger keeps what `mauntic check` and a month's usage look back upon, and a year's comparison.
RUNS_KEPT = timedelta(days=400)


@dataclass(frozen=True)
class Queue:
    """A queue, its producer binding, and how often a message may be retried.

    `max_concurrency` is how many consumers the platform may run at once. Each holds a connection,
    or two while it runs shards: all workers together stay below what Hyperdrive may open.
    Its dead-letter queue has the same name with `-dlq`, and the same binding with `_DLQ`.
    """

    name: str
    binding: str
    max_retries: int
    max_concurrency: int = 10

    @property
    def dead_letter_name(self) -> str:
        return f"{self.name}-dlq"

    @property
    def dead_letter_binding(self) -> str:
        return f"{self.binding}_DLQ"

    @property
    def deliveries_max(self) -> int:
        """After so many deliveries the platform gives a message up."""
        return self.max_retries + 1

    @property
    def retries_last(self) -> timedelta:
        """How long the delays of all retries are together, at most."""
        return timedelta(seconds=sum(ceiling_s(n + 1) for n in range(self.max_retries)))


@dataclass(frozen=True)
class Job:
    """One job: its message, what handles it, and when it is due.

    `handler(message, run)` answers with an Outcome; with `batch=True`, `handler(messages, run)`
    answers with one Outcome a message. A job with a `schedule` has a WindowMessage, and its runs
    are in the ledger. `aliases` are other spellings of the type that are accepted.

    `has_work(db)` asks in one statement, outside a transaction, whether a run would find anything
    to do. Where it says no, a tick enqueues nothing and leaves no row in the ledger. It is for a
    job that acts on what there is now. `keep_runs` is how long the ledger keeps its runs.
    """

    message: type[Message]
    handler: Handler
    schedule: Schedule | None = None
    aliases: tuple[str, ...] = ()
    batch: bool = False
    has_work: Callable[[Database], bool] | None = None
    keep_runs: timedelta = RUNS_KEPT

    def __post_init__(self) -> None:
        if not isinstance(self.message.model_fields["type"].default, str):
            raise TypeError(f"{self.message.__name__} must give its type a default: the job's name")
        if self.schedule and not issubclass(self.message, WindowMessage):
            raise TypeError(f"{self.type} has a schedule, so its message must be a WindowMessage")
        if self.schedule and self.batch:
            raise TypeError(f"{self.type} has a schedule: its windows are run one at a time")
        if self.has_work and not (self.schedule and self.schedule.is_about_now):
            raise TypeError(
                f"{self.type} has `has_work`, so it needs a schedule with catch_up=1:"
                " a window without work has no row, and a later tick would take it for missed"
            )
        if self.schedule and self.keep_runs < CATCH_UP_AGE_MAX:
            reach = self.schedule.reach(SOME_TIME)
            if self.keep_runs <= reach:
                raise ValueError(
                    f"{self.type} keeps its runs for {self.keep_runs}, but a tick looks back"
                    f" {reach}: what was done would be taken for missed"
                )

    @cached_property
    def type(self) -> str:
        """The name of the job: the default of its message's `type`."""
        return str(self.message.model_fields["type"].default)

    @property
    def purpose(self) -> str:
        """The first line of the handler's docstring."""
        return (self.handler.__doc__ or "").strip().partition("\n")[0]


@dataclass(frozen=True)
class Worker:
    """A worker: its queue, its gate and its jobs.

    `after_batch(ports)` runs when the messages of a batch are settled. Their transactions must have
    written down what it is to do, so that nothing is lost if it fails: a later batch does it.
    """

    name: str
    env: str
    queue: Queue
    gate: str
    jobs: Sequence[Job]
    after_batch: Callable[[Ports], Awaitable[None]] | None = None
    by_type: dict[str, Job] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_type: dict[str, Job] = {}
        for job in self.jobs:
            for name in (job.type, *job.aliases):
                if name in by_type:
                    raise ValueError(f"two jobs of {self.name} are called {name}")
                by_type[name] = job
        object.__setattr__(self, "by_type", by_type)
        if ledger.LEASE <= ledger.INVOCATION_MAX:
            raise ValueError(
                f"a lease of {ledger.LEASE} is shorter than the work of {self.name}, which may take"
                f" {ledger.INVOCATION_MAX}: a run would be taken over while it is at work"
            )
        retries = self.queue.retries_last
        for job in self.jobs:
            if job.schedule and job.schedule.grace < retries:
                raise ValueError(
                    f"{job.type} counts as overdue after {job.schedule.grace}, but the retries of"
                    f" {self.queue.name} may last {retries}: give it that much grace"
                )

    @property
    def crons(self) -> list[str]:
        """Every cron of the worker once, in a stable order."""
        return sorted({job.schedule.cron for job in self.jobs if job.schedule})

    def planned_by(self, cron: str) -> list[Job]:
        """The jobs of that cron."""
        return [job for job in self.jobs if job.schedule and job.schedule.cron == cron]


def discover(package: str) -> list[Job]:
    """The `JOB` of every module of `package`, in order of type."""
    folder = importlib.import_module(package)
    modules = [
        importlib.import_module(f"{package}.{m.name}")
        for m in pkgutil.iter_modules(folder.__path__)
    ]
    return sorted((module.JOB for module in modules), key=lambda job: job.type)
