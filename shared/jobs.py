"""Declare jobs: a job's message, its handler, and its schedule.

A job is one file with a `JOB` in it. There are three kinds:

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

from shared.bindings import Binding
from shared.ledger import ledger
from shared.messages import Message, Shard, Trigger, WindowMessage
from shared.outcome import Dead, Done, RetryIn, Sharded
from shared.ports import Database, Ports
from shared.queues import BATCH_OF_LISTS, BATCH_OF_WINDOWS, Batch, Queue
from shared.windows import CATCH_UP_AGE_MAX, Schedule, Window

# Any time works, because windows are pure arithmetic.
SOME_TIME = datetime(2026, 3, 31, 12, 34, tzinfo=UTC)
# The ledger keeps the runs that `mauntic check`, a month's usage and a yearly comparison read.
RUNS_KEPT = timedelta(days=400)

M = TypeVar("M", bound=Message)
M_co = TypeVar("M_co", bound=Message, covariant=True)


@dataclass(frozen=True)
class Run:
    """One run of a window, as its handler receives it.

    `planned` is the planned time of the cron. `shard` is the part of the window to work on; None
    means the whole window. `before_retention` is true if an operator requests to write days before
    the retained period too.
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

    `id` is the row's. `message` is None if the body is not a valid message, or if only its start
    was kept.
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
OnRedrive = Callable[[Sequence[M], Database, datetime], None]


@dataclass(frozen=True)
class _AnyJob:
    """The common part of all jobs.

    - `queues` are the names of the queues that the job's messages arrive in. Ticks and commands
      send to the first. Without it that is the first queue of the worker.
    - `bindings` are the buckets, platform queues and secrets that the handler uses.
    """

    message: type[Message]
    handler: Callable[..., Any]
    queues: tuple[str, ...] = field(default=(), kw_only=True)
    bindings: tuple[Binding, ...] = field(default=(), kw_only=True)

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

    - `has_work(db)` returns whether a run would find work, in one statement outside a
      transaction. If it returns False, a tick enqueues nothing and leaves no row in the ledger. It
      needs a schedule with `catch_up=1`.
    - `keep_runs` is the period for which the ledger keeps the job's runs.
    - `aliases` are other accepted spellings of the type.
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
                " a window without work has no row, and a later tick would count it as missed"
            )
        if self.keep_runs < CATCH_UP_AGE_MAX:
            reach = self.schedule.reach(SOME_TIME)
            if self.keep_runs <= reach:
                raise ValueError(
                    f"{self.type} keeps its runs for {self.keep_runs}, but a tick looks back"
                    f" {reach}: finished windows would count as missed"
                )


@dataclass(frozen=True)
class MessageJob(_AnyJob, Generic[M]):
    """A job that runs once for each message.

    The handler is `async def handler(message: M, ports: Ports) -> Done | RetryIn | Dead`. It runs
    in a transaction; with `transaction=False` it opens its own. `aliases` and `on_dead` are as for
    a WindowJob. `on_redrive(messages, db, now)` runs before an operator's redrive sends dead
    letters again: it opens what `on_dead` closed.
    """

    message: type[M]
    handler: MessageHandler[M]
    aliases: tuple[str, ...] = field(default=(), kw_only=True)
    transaction: bool = field(default=True, kw_only=True)
    on_dead: OnDead[M] | None = field(default=None, kw_only=True)
    on_redrive: OnRedrive[M] | None = field(default=None, kw_only=True)
    schedule: ClassVar[None] = None


@dataclass(frozen=True)
class BatchJob(_AnyJob, Generic[M]):
    """A job that runs once for all of its messages in a batch.

    The handler is `async def handler(messages: Sequence[M], ports: Ports) -> list[…]` with one
    Done, RetryIn or Dead for each message, in their order. It runs in a transaction; if it raises,
    each message is tried alone. With `transaction=False` the handler opens its own transactions and
    must catch the errors of single messages: if it raises, all messages of the batch end with that
    error. `aliases`, `on_dead` and `on_redrive` are as for a MessageJob.
    """

    message: type[M]
    handler: BatchHandler[M]
    aliases: tuple[str, ...] = field(default=(), kw_only=True)
    transaction: bool = field(default=True, kw_only=True)
    on_dead: OnDead[M] | None = field(default=None, kw_only=True)
    on_redrive: OnRedrive[M] | None = field(default=None, kw_only=True)
    schedule: ClassVar[None] = None


AfterBatch = Callable[[Queue, Ports], Awaitable[None]]
Job = WindowJob | MessageJob[Any] | BatchJob[Any]


@dataclass(frozen=True)
class Worker:
    """A worker: its queues, its gate and its jobs.

    The first queue receives the messages of all jobs that name no queue.
    `after_batch(queue, ports)` runs when the messages of a batch are settled. Their transactions
    must have recorded what it is to do, so that nothing is lost if it fails: a later batch does it.
    `bindings` are those that `after_batch` uses.
    """

    name: str
    env: str
    queues: Sequence[Queue]
    gate: str
    jobs: Sequence[Job]
    after_batch: AfterBatch | None = None
    bindings: tuple[Binding, ...] = ()
    by_type: dict[str, Job] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_type: dict[str, Job] = {}
        for job in self.jobs:
            for name in (job.type, *job.aliases):
                if name in by_type:
                    raise ValueError(f"two jobs of {self.name} have the name {name}")
                by_type[name] = job
        object.__setattr__(self, "by_type", by_type)
        if ledger.LEASE <= ledger.INVOCATION_MAX:
            raise ValueError(
                f"a lease of {ledger.LEASE} is shorter than the work of {self.name}, which may take"
                f" {ledger.INVOCATION_MAX}: a run would be taken over while it is working"
            )
        self._require_queues()
        for job in self.window_jobs:
            queue = self.queue_of(job)
            if job.schedule.grace < queue.retries_last:
                raise ValueError(
                    f"{job.type} counts as overdue after {job.schedule.grace}, but the retries of"
                    f" {queue.name} may last {queue.retries_last}: give it that much grace"
                )

    def _require_queues(self) -> None:
        """Raise ValueError unless each queue has its own name and binding, and each job a queue."""
        if not self.queues:
            raise ValueError(f"{self.name} needs a queue")
        for values in ([q.name for q in self.queues], [q.binding for q in self.queues]):
            if len(set(values)) < len(values):
                raise ValueError(f"two queues of {self.name} have the same name: {values}")
        names = [queue.name for queue in self.queues]
        for job in self.jobs:
            for name in job.queues:
                if name not in names:
                    raise ValueError(
                        f"{job.type} names the queue {name}, but {self.name} has {names}"
                    )

    @property
    def main_queue(self) -> Queue:
        """The queue of the jobs without a named queue."""
        return self.queues[0]

    def queue_of(self, job: Job) -> Queue:
        """Return the queue to which ticks and commands send the job's messages."""
        return self.queue_named(job.queues[0]) if job.queues else self.main_queue

    def queue_named(self, name: str) -> Queue:
        """Return the queue with that name, or with a dead-letter queue of that name. Raise
        KeyError.
        """
        for queue in self.queues:
            if name in (queue.name, queue.dead_letter_name):
                return queue
        raise KeyError(name)

    def accepts(self, job: Job, queue: Queue) -> bool:
        """Return whether the job's messages may arrive in that queue."""
        return queue.name in (job.queues or (self.main_queue.name,))

    def batch_of(self, queue: Queue) -> Batch:
        """Return the largest batch of the queue: its own, or the default for its jobs."""
        jobs = [job for job in self.jobs if self.accepts(job, queue)]
        takes_lists = any(isinstance(job, BatchJob) for job in jobs)
        return queue.batch or (BATCH_OF_LISTS if takes_lists else BATCH_OF_WINDOWS)

    @property
    def all_bindings(self) -> list[Binding]:
        """Return the bindings of the worker and of its jobs, each once."""
        declared = [*self.bindings, *(b for job in self.jobs for b in job.bindings)]
        return list(dict.fromkeys(declared))

    @property
    def window_jobs(self) -> list[WindowJob]:
        """The jobs with a schedule."""
        return [job for job in self.jobs if isinstance(job, WindowJob)]

    @property
    def crons(self) -> list[str]:
        """Every cron of the worker once, in a stable order."""
        return sorted({job.schedule.cron for job in self.window_jobs})

    def planned_by(self, cron: str) -> list[WindowJob]:
        """Return the jobs of that cron."""
        return [job for job in self.window_jobs if job.schedule.cron == cron]


def discover(package: str) -> list[Job]:
    """Return the `JOB` of every module of `package`, in order of type. It may be a tuple of jobs
    that have one handler.
    """
    folder = importlib.import_module(package)
    modules = [
        importlib.import_module(f"{package}.{m.name}")
        for m in pkgutil.iter_modules(folder.__path__)
    ]
    jobs = [job for m in modules for job in (m.JOB if isinstance(m.JOB, tuple) else (m.JOB,))]
    return sorted(jobs, key=lambda job: job.type)
