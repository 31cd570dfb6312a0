"""Problems of the workers' declarations: jobs, messages and schedules."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from mauntic.checks import Problem
from mauntic.operations.worker_catalog import Declared
from shared.jobs import Job, Worker
from shared.windows import Schedule

CRONS_MAX = 250  # an account: https://developers.cloudflare.com/workers/platform/limits/


def problems(declared: Declared) -> Iterator[Problem]:
    """Yield every problem of the declarations."""
    for name, error in declared.broken.items():
        yield Problem("jobs", f"workers/{name}", f"cannot be imported: {error}")
    yield from _between_workers(declared.workers)
    for worker in declared.workers:
        for job in worker.jobs:
            yield from _of_job(job)


def _between_workers(workers: Sequence[Worker]) -> Iterator[Problem]:
    """Check that names are unique across workers, and count the crons."""
    owners: dict[tuple[str, str], str] = {}
    for worker in workers:
        names = [("type", name) for name in worker.by_type]
        names += [("queue", queue.name) for queue in worker.queues]
        names += [("gate", worker.gate), ("name", worker.name)]
        for key in names:
            owner = owners.setdefault(key, worker.env)
            if owner != worker.env:
                yield Problem(
                    "jobs", f"{key[0]} {key[1]}", f"belongs to {owner} and to {worker.env}"
                )
    crons = sum(len(worker.crons) for worker in workers)
    if crons > CRONS_MAX:
        yield Problem("jobs", "crons", f"an account has at most {CRONS_MAX}, not {crons}")


def _of_job(job: Job) -> Iterator[Problem]:
    if not job.purpose:
        yield Problem(
            "jobs", job.type, "its handler has no docstring: the job's purpose is its first line"
        )
    if not inspect.iscoroutinefunction(job.handler):
        yield Problem("jobs", job.type, "its handler is not async")
    yield from _of_message(job)
    if job.schedule:
        yield from _of_schedule(job.type, job.schedule)


def _of_message(job: Job) -> Iterator[Problem]:
    fields = job.message.model_fields
    if getattr(fields["type"].annotation, "__args__", None) != (job.type,):
        yield Problem("messages", job.type, "`type` must be a Literal of its own default")
    data = fields.get("data")
    for model in _models(data.annotation if data else None):
        if model.model_config.get("extra") != "forbid":
            yield Problem(
                "messages", job.type, f"{model.__name__} accepts unknown fields of `data`"
            )


def _models(annotation: object) -> list[type[BaseModel]]:
    candidates = (annotation, *getattr(annotation, "__args__", ()))
    return [
        model for model in candidates if inspect.isclass(model) and issubclass(model, BaseModel)
    ]


def _of_schedule(job_type: str, schedule: Schedule) -> Iterator[Problem]:
    fields = schedule.cron.split()
    if len(fields) != 5:
        yield Problem(
            "jobs", job_type, f"the platform takes crons of five fields, unlike {schedule.cron}"
        )
    elif re.search(r"\d", fields[4]):
        yield Problem(
            "jobs", job_type, "write weekdays by name: the platform counts them from Sunday = 1"
        )
