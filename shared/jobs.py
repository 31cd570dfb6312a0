"""Declare jobs: what a job's message is, what handles it, and when it runs.

A job is one file with a `JOB` in it. There are three sorts:

    WindowJob    runs on a schedule, once for each window of time   handler(run)
    MessageJob   runs once for each message                         handler(message, ports)
    BatchJob     runs once for all of its messages in a batch       handler(messages, ports)

Job authors import all of this from `shared`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from shared.ledger import ledger
from shared.messages import Message, Shard, Trigger, WindowMessage
from shared.outcome import Dead, Done, RetryIn, Sharded
from shared.ports import Database, Ports
from shared.retry import ceiling_s
from shared.windows import CATCH_UP_AGE_MAX, Schedule, Window

# Any time will do: windows are arithmetic.
SOME_TIME = datetime(2026, 3, 31, 12, 34, tzinfo=UTC)
# The ledger keeps the runs that `mauntic check`, a month's usage and a yearly comparison read.
RUNS_KEPT = timedelta(days=400)

M = TypeVar("M", bound=Message)
M_co = TypeVar("M_co", bound=Message, covariant=True)


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
class Run:
    """One run of a window, as its handler receives it.

    `planned` is the planned time of the cron. `shard` is the part of the window to work on; None
    means the whole window. `before_retention` is true if an operator asks to write days before the
    retained period too.
    """

    window: Window
    planned: datetime
    shard: Shard | None
    ports: Ports
    trigger: Trigger
    before_retention: bool = False


@dataclass(frozen=True)
class DeadLetter(Generic[M_co]):
    """A message that was archived in `ops.dead_letters`, as `on_dead` receives it.

    `id` is the row's. `message` is None if the body is not a valid message, or if only its
    beginning was kept.
    """

    id: int
    message: M_co | None
    body: Any
    reason: str
    error: str | None
    message_id: str


WindowHandler = Callable[[Run], Awaitable[Done | Sharded]]
MessageHandler = Callable[[M, Ports], Awaitable[Done | RetryIn | Dead]]
BatchHandler = Callable[[Sequence[M], Ports], Awaitable[Sequence[Done | RetryIn | Dead]]]
OnDead = Callable[[Sequence[DeadLetter[M]], Database], None]


@dataclass(frozen=True)
class _AnyJob:
    """What all jobs have in common."""

    message: type[Message]
    handler: Callable[..., Any]

    def __post_init__(self) -> None:
        if not isinstance(self.message.model_fields["type"].default, str):
            raise TypeError(f"{self.message.__name__} must give its type a default: the job's name")

    @cached_property
    def type(self) -> str:
        """The name of the job: the default of its message's `type`."""
        return str(self.message.model_fields["type"].default)

    @property
    def purpose(self) -> str:
        """The first line of the handler's docstring."""
        return (self.handler.__doc__ or "").strip().partition("\n")[0]


@dataclass(frozen=True)
class WindowJob(_AnyJob):
    """A job that runs on a schedule, once for each window. The ledger records its runs.

    The handler is `async def handler(run: Run) -> Done | Sharded`.

    - `has_work(db)` returns whether a run would find anything to do, in one statement outside a
      transaction. If it returns False, a tick enqueues nothing and leaves no row in the ledger. It
      needs a schedule with `catch_up=1`.
    - `keep_runs` is how long the ledger keeps the job's runs.
    - `aliases` are other spellings of the type that are accepted.
    - `transaction`: the handler's rows and the ledger's "succeeded" commit together. With False the
      handler runs outside a transaction and opens its own. A run takes its lease first; when the
      handler returns, one transaction checks the fencing token and finishes the run. If the handler
      fails halfway, the window runs again: what it committed must be safe to repeat.
    - `on_dead(letters, db)` runs in the transaction that archives the job's dead letters. If it
      raises an error that is not worth a retry, the letters are archived without it, and
      `dead_letter.on_dead_failed` is logged.
    """

    message: type[WindowMessage]
    handler: WindowHandler
    schedule: Schedule
    aliases: tuple[str, ...] = field(default=(), kw_only=True)
    has_work: Callable[[Database], bool] | None = field(default=None, kw_only=True)
    keep_runs: timedelta = field(default=RUNS_KEPT, kw_only=True)
    transaction: bool = field(default=True, kw_only=True)
    on_dead: OnDead[WindowMessage] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not issubclass(self.message, WindowMessage):
            raise TypeError(f"{self.type} has a schedule, so its message must be a WindowMessage")
        if self.has_work and not self.schedule.is_about_now:
            raise TypeError(
                f"{self.type} has `has_work`, so it needs a schedule with catch_up=1:"
                " a window without work has no row, and a later tick would take it for missed"
            )
        if self.keep_runs < CATCH_UP_AGE_MAX:
            reach = self.schedule.reach(SOME_TIME)
            if self.keep_runs <= reach:
                raise ValueError(
                    f"{self.type} keeps its runs for {self.keep_runs}, but a tick looks back"
                    f" {reach}: what was done would be taken for missed"
                )


@dataclass(frozen=True)
class MessageJob(_AnyJob, Generic[M]):
    """A job that runs once for each message.

    The handler is `async def handler(message: M, ports: Ports) -> Done | RetryIn | Dead`. It runs
    in a transaction; with `transaction=False` it opens its own. `aliases` and `on_dead` are as for
    a WindowJob.
    """

    message: type[M]
    handler: MessageHandler[M]
    aliases: tuple[str, ...] = field(default=(), kw_only=True)
    transaction: bool = field(default=True, kw_only=True)
    on_dead: OnDead[M] | None = field(default=None, kw_only=True)
    schedule: ClassVar[None] = None


@dataclass(frozen=True)
class BatchJob(_AnyJob, Generic[M]):
    """A job that runs once for all of its messages in a batch.

    The handler is `async def handler(messages: Sequence[M], ports: Ports) -> list[…]` with one
    Done, RetryIn or Dead for each message, in their order. It runs in a transaction; if it raises,
    each message is tried alone. With `transaction=False` the handler opens its own transactions and
    must catch the errors of single messages: if it raises, all messages of the batch end with that
    error. `aliases` and `on_dead` are as for a WindowJob.
    """

    message: type[M]
    handler: BatchHandler[M]
    aliases: tuple[str, ...] = field(default=(), kw_only=True)
    transaction: bool = field(default=True, kw_only=True)
    on_dead: OnDead[M] | None = field(default=None, kw_only=True)
    schedule: ClassVar[None] = None


Job = WindowJob | MessageJob[Any] | BatchJob[Any]


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
        for job in self.window_jobs:
            if job.schedule.grace < retries:
                raise ValueError(
                    f"{job.type} counts as overdue after {job.schedule.grace}, but the retries of"
                    f" {self.queue.name} may last {retries}: give it that much grace"
                )

    @property
    def window_jobs(self) -> list[WindowJob]:
        """The jobs that have a schedule."""
        return [job for job in self.jobs if isinstance(job, WindowJob)]

    @property
    def crons(self) -> list[str]:
        """Every cron of the worker once, in a stable order."""
        return sorted({job.schedule.cron for job in self.window_jobs})

    def planned_by(self, cron: str) -> list[WindowJob]:
        """The jobs of that cron."""
        return [job for job in self.window_jobs if job.schedule.cron == cron]


def discover(package: str) -> list[Job]:
    """The `JOB` of every module of `package`, in order of type."""
    folder = importlib.import_module(package)
    modules = [
        importlib.import_module(f"{package}.{m.name}")
        for m in pkgutil.iter_modules(folder.__path__)
    ]
    return sorted((module.JOB for module in modules), key=lambda job: job.type)
