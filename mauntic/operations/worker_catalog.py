"""The jobs, message types and queues that the workers declare."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module

from mauntic.errors import OperatorError
from mauntic.project.interrupts import at_once
from mauntic.project.programs import ROOT
from shared.flow.intake import Intake
from shared.jobs import Job, Worker
from shared.web import WebWorker
from shared.windows import Schedule

notices = logging.getLogger(__name__)
FOLDER = ROOT / "workers"


AnyWorker = Worker | WebWorker


@dataclass(frozen=True)
class Declared:
    """The workers ordered by name, the import errors of the others, and the workers that only
    answer requests.
    """

    workers: tuple[Worker, ...]
    broken: dict[str, str]
    web_workers: tuple[WebWorker, ...] = ()

    @property
    def all_workers(self) -> tuple[AnyWorker, ...]:
        """Every worker that a deployment has."""
        return (*self.workers, *self.web_workers)


@cache
@at_once()
def declared() -> Declared:
    """Import `worker.py` of every folder of `workers/`."""
    found: list[AnyWorker] = []
    broken = {}
    for path in sorted(FOLDER.glob("*/worker.py")):
        name = path.parent.name
        try:
            found.append(import_module(f"{name}.worker").WORKER)
        except Exception as error:  # a broken worker must not stop the operation of the others
            broken[name] = f"{type(error).__name__}: {error}"
    return Declared(
        tuple(worker for worker in found if isinstance(worker, Worker)),
        broken,
        tuple(worker for worker in found if isinstance(worker, WebWorker)),
    )


@cache
def workers() -> tuple[Worker, ...]:
    """Return every worker that can be imported; warn about each of the others."""
    catalog = declared()
    for name, error in catalog.broken.items():
        notices.warning("workers/%s is left out: %s", name, error)
    return catalog.workers


def web_workers() -> tuple[WebWorker, ...]:
    """Return every worker that only answers requests."""
    return declared().web_workers


def all_workers() -> list[AnyWorker]:
    """Return every worker that a deployment has."""
    return [*workers(), *web_workers()]


def find_job(job_type: str) -> tuple[Worker, Job]:
    """Return the worker and job of a message type or of one of its aliases."""
    for worker in workers():
        if job_type in worker.by_type:
            return worker, worker.by_type[job_type]
    names = [job.type for worker in workers() for job in worker.jobs]
    raise OperatorError(f"There is no job {job_type}{suggestion(job_type, names)}")


def schedule_of(job: Job) -> Schedule:
    """Return the job's schedule; raise OperatorError if it has none."""
    if job.schedule is None:
        raise OperatorError(
            f"{job.type} has no schedule, so no windows: send it a message with `mauntic enqueue`."
        )
    return job.schedule


def find_intake(queue: str) -> Intake:
    """Return the queue of that name with the worker that consumes it."""
    intakes = _intakes()
    if queue in intakes:
        return intakes[queue]
    raise OperatorError(f"No worker consumes a queue {queue}{suggestion(queue, list(intakes))}")


def consumer_of(queue: str) -> Worker | None:
    """Return the worker that consumes the queue; None for a queue that no worker has now."""
    intake = _intakes().get(queue)
    return intake.worker if intake else None


def _intakes() -> dict[str, Intake]:
    """Return each queue by its name, with the worker that consumes it."""
    return {own.name: Intake(worker, own) for worker in workers() for own in worker.queues}


def queue_names() -> list[str]:
    """Return every queue, each followed by its dead-letter queue."""
    queues = [queue for worker in workers() for queue in worker.queues]
    return [name for queue in queues for name in (queue.name, queue.dead_letter_name)]


def require_queue(name: str) -> str:
    """Return the name of an existing queue or dead-letter queue; OperatorError for any other."""
    if name not in queue_names():
        raise OperatorError(f"There is no queue {name}{suggestion(name, queue_names())}")
    return name


def suggestion(wrong: str, names: list[str]) -> str:
    """Return the end of an error about an invalid name: the nearest valid name, or all."""
    near = get_close_matches(wrong, names, n=1)
    return f": did you mean {near[0]}?" if near else f"; there are {', '.join(names)}."
