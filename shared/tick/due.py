"""The windows that a tick looks for. The ledger determines which of them are missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Any

from shared.jobs import Job, WindowJob, Worker
from shared.messages import Shard, Trigger
from shared.ports import Database, Row
from shared.sql.statements import SQL
from shared.windows import Schedule, Window, next_fire

# After a long pause, a tick records skipped windows in portions of this size per job.
SKIPPED_MAX = 1_000


@dataclass(frozen=True)
class Due:
    """A window that should be run, or a shard of it, with its trigger.

    With `before_retention` an operator requests also days before the retained period.
    """

    job: Job
    schedule: Schedule
    window: Window
    trigger: Trigger
    shard: Shard | None = None
    before_retention: bool = False

    @property
    def planned(self) -> datetime:
        return self.schedule.planned_for(self.window)

    def body(self) -> dict[str, Any]:
        """Return the message. Its correlation id is the same for every try of the window."""
        message = self.job.message.model_validate({
            "type": self.job.type,
            "scheduledFor": self.planned,
            "trigger": self.trigger,
            "correlationId": f"{self.job.type}@{self.window}",
        })  # fmt: skip
        data: dict[str, Any] = {"shard": self.shard.body()} if self.shard else {}
        if self.before_retention:
            data["beforeRetention"] = True
        return message.body() | ({"data": data} if data else {})


def looked_at(worker: Worker, cron: str, tick: datetime, db: Database) -> list[WindowJob]:
    """The jobs whose windows a tick looks for: those of its own cron that have work, and all that
    have no `has_work`.

    A cron whose jobs all have `has_work` looks for no other jobs: it is frequent and mostly finds
    nothing. Once an hour it also looks at a job without work whose run was never answered: another
    run has done its work, and only a later claim ends its row.
    """
    own = worker.planned_by(cron)
    at_work = [job for job in own if job.has_work and (job.has_work(db) or _is_left(job, tick, db))]
    if own and all(job.has_work for job in own):
        return at_work
    return at_work + [job for job in worker.window_jobs if not job.has_work]


def _is_left(job: WindowJob, tick: datetime, db: Database) -> bool:
    """True if a run of the job is past its lease. Only the first tick of an hour asks."""
    planned, hour = tick.replace(second=0, microsecond=0), tick.replace(minute=0, second=0)
    if next_fire(job.schedule.cron, hour - timedelta(seconds=1)) != planned:
        return False
    [found] = db.rows(SQL["run_is_left"], job_type=job.type, now=tick)
    return bool(found["is_left"])


def own_windows(worker: Worker, cron: str, tick: datetime) -> list[Due]:
    """Return the tick's own windows: without a ledger the missing ones are unknown, but these are
    due. Jobs with a check for work are left out, because the check needs the same database.
    """
    jobs = [job for job in worker.planned_by(cron) if not job.has_work]
    return [Due(job, job.schedule, job.schedule.window_of(tick), "cron") for job in jobs]


def is_first_of_hour(worker: Worker, cron: str, tick: datetime) -> bool:
    """Return whether no other tick of the worker is planned earlier in this hour. Of ticks in the
    same minute, the first cron in order counts. Crons that usually find no work count only if there
    is no other.
    """
    patient = {job.schedule.cron for job in worker.window_jobs if not job.has_work}
    hour = tick.replace(minute=0, second=0, microsecond=0)
    before = hour - timedelta(seconds=1)
    firsts = [(next_fire(expression, before), expression) for expression in patient or worker.crons]
    return min(firsts) == (tick.replace(second=0, microsecond=0), cron)


def candidates(job: WindowJob, schedule: Schedule, row: Row, tick: datetime) -> list[Due]:
    """Return the windows within the limits of catching up, oldest first. The newest is the tick's
    own if its planned time is this tick.
    """
    windows = [window for window in schedule.within_reach(tick) if window.start >= row["starts_at"]]
    fresh = schedule.is_planned(tick)
    newest = schedule.newest_due(tick)
    return [Due(job, schedule, w, "cron" if fresh and w == newest else "catch-up") for w in windows]


def beyond_reach(
    job: WindowJob, schedule: Schedule, recorded_until: datetime, tick: datetime
) -> tuple[list[Due], datetime]:
    """Return the windows since the watermark that no tick will enqueue, at most SKIPPED_MAX of
    them, and the watermark after them. A job with a check for work has missed nothing.
    """
    newest = schedule.newest_due(tick)
    if job.has_work:
        return [], newest.end
    start = schedule.catch_up_start(tick)
    end = newest.start if schedule.is_about_now else newest.end  # the newest may have to wait
    unrecorded = takewhile(lambda w: w.start < start, schedule.due_since(recorded_until, tick))
    skipped = [Due(job, schedule, w, "catch-up") for w in islice(unrecorded, SKIPPED_MAX)]
    return skipped, skipped[-1].window.end if len(skipped) == SKIPPED_MAX else end
