"""What the workers declare: every job, message type and queue that the commands know."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path

from mauntic.errors import OperatorError
from mauntic.project.interrupts import at_once
from shared.jobs import Job, Worker
from shared.windows import Schedule

notices = logging.getLogger(__name__)
FOLDER = Path(__file__).parents[2] / "workers"


@dataclass(frozen=True)
class Declared:
    """The workers in order of their names, and why the others cannot be imported."""

    workers: tuple[Worker, ...]
    broken: dict[str, str]


@cache
@at_once()
def declared() -> Declared:
    """Import `worker.py` of every folder of `workers/`."""
    found, broken = [], {}
    for path in sorted(FOLDER.glob("*/worker.py")):
        name = path.parent.name
        try:
            found.append(import_module(f"{name}.worker").WORKER)
        except Exception as error:  # whatever its code does, the other workers can be operated
            broken[name] = f"{type(error).__name__}: {error}"
    return Declared(tuple(found), broken)


@cache
def workers() -> tuple[Worker, ...]:
    """Every worker that can be imported; a warning names each of the others."""
    known = declared()
    for name, error in known.broken.items():
        notices.warning("workers/%s is left out: %s", name, error)
    return known.workers


def find_job(kind: str) -> tuple[Worker, Job]:
    """The worker and job of a message type or of one of its other spellings."""
    for worker in workers():
        if kind in worker.by_type:
            return worker, worker.by_type[kind]
    names = [job.type for worker in workers() for job in worker.jobs]
    raise OperatorError(f"There is no job {kind}{instead(kind, names)}")


def schedule_of(job: Job) -> Schedule:
    """The schedule of a job that has one; the others are run by messages with their own data."""
    if job.schedule is None:
        raise OperatorError(
            f"{job.type} has no schedule, so no windows: send it a message with `mauntic enqueue`."
        )
    return job.schedule


def find_worker(queue: str) -> Worker:
    """The worker that consumes the queue."""
    for worker in workers():
        if worker.queue.name == queue:
            return worker
    names = [worker.queue.name for worker in workers()]
    raise OperatorError(f"No worker takes jobs from a queue {queue}{instead(queue, names)}")


def queue_names() -> list[str]:
    """Every queue, each before its dead-letter queue."""
    queues = [worker.queue for worker in workers()]
    return [name for queue in queues for name in (queue.name, queue.dead_letter_name)]


def known_queue(name: str) -> str:
    """The name, if it is that of a queue or dead-letter queue."""
    if name not in queue_names():
        raise OperatorError(f"There is no queue {name}{instead(name, queue_names())}")
    return name


def instead(wrong: str, names: list[str]) -> str:
    """The end of a sentence about a wrong name: the nearest right one, or all."""
    near = get_close_matches(wrong, names, n=1)
    return f": did you mean {near[0]}?" if near else f"; there are {', '.join(names)}."
