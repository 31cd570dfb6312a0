"""The checks of a cutover's steps: account, schema, ledger."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from analytics.store.statements import HOURLY
from mauntic.database.migrations import adoption_needed, in_the_way, pending
from mauntic.operations import grants, provisioning
from mauntic.operations.connection import database_at
from mauntic.operations.statements import SQL
from mauntic.operations.worker_catalog import schedule_of
from shared.jobs import Job, Worker
from shared.ports import Database


@dataclass(frozen=True)
class Finding:
    """The result of one check. `why` also contains the remedy. With `is_yours` only the operator
    can do or check it.
    """

    subject: str
    done: bool
    why: str
    is_yours: bool = False


def of_account(
    worker: Worker, needs: Sequence[provisioning.Needs], account: provisioning.Account
) -> Iterator[Finding]:
    """Check the worker's resources in the account."""
    todo = {need.why: need.line for need in provisioning.missing(needs, account, os.environ)}
    for why, line in todo.items():
        yield Finding(why, False, f"missing: {line}")
    if not todo:
        yield Finding("account", True, "queues, bucket and Hyperdrive exist")
    for need in provisioning.open_gates(needs, account):
        yield Finding(str(need.gate), False, provisioning.open_gate_note(need), is_yours=True)
    for name in (n for q in worker.queues for n in (q.name, q.dead_letter_name)):
        is_consumed = worker.name in account.consumers.get(name, [])
        why = f"consumed by {worker.name}" if is_consumed else f"make deploy ENV={worker.env}"
        yield Finding(f"consumer of {name}", is_consumed, why)


def of_schema(url: str) -> Iterator[Finding]:
    """Check whether the database has the current schema."""
    if found := in_the_way(url):
        yield Finding("schema", False, adoption_needed(found))
        return
    files = pending(url)
    why = f"pending: {', '.join(files)}: mauntic db migrate" if files else "migrated"
    yield Finding("schema", not files, why)


def of_role(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Check that the role of Hyperdrive has exactly the rights that the workers need."""
    url = environment.get(provisioning.WORKERS_URL)
    if not url:
        why = f"set {provisioning.WORKERS_URL}: mauntic db grants makes the role that it names"
        yield Finding("workers' role", False, why)
        return
    with closing(database_at(url)) as db:
        [role] = db.rows(SQL["role_of_workers"], schemas=list(grants.SCHEMAS))
        lacking = grants.missing(db, role["role"])
    powers = [
        power
        for power, has in (
            ("is a superuser", role["is_superuser"]),
            ("bypasses row-level security", role["bypasses_policies"]),
            ("makes roles", role["makes_roles"]),
            (f"owns {role['owned']} of this project's tables and indexes", role["owned"]),
        )
        if has
    ]
    name = f"workers' role {role['role']}"
    if powers:
        remedy = "connect Hyperdrive with the role of mauntic db grants --apply"
        yield Finding(name, False, f"it {' and '.join(powers)}: {remedy}")
    if lacking:
        examples = ", ".join(lacking[:3]) + (", …" if len(lacking) > 3 else "")
        yield Finding(name, False, f"it lacks {examples}: mauntic db grants --apply")
    if not powers and not lacking:
        yield Finding(name, True, "it owns nothing and has the rights that the jobs need")


def of_today(db: Database, worker: Worker, now: datetime) -> Iterator[Finding]:
    """Check that the hours of yesterday and today are booked, because later hours build on them."""
    job = worker.by_type.get(HOURLY)
    if job is None:
        return
    end = now.replace(minute=0, second=0, microsecond=0)
    start = midnight(now.date() - timedelta(days=1))
    due = schedule_of(job).between(start, end)
    # The newest hour may have become due within the last minute: the first tick takes it.
    missing = len(due[:-1]) - len(succeeded(db, job, start, due[-1].start))
    command = (
        f"mauntic backfill {HOURLY} --from {start:%Y-%m-%d} --to {end:%Y-%m-%dT%H:%MZ} --remote"
    )
    why = f"{missing} hours of today and yesterday were not run: {command}"
    yield Finding("hours before", missing <= 0, why if missing > 0 else "run")


def of_age(db: Database, worker: Worker, now: datetime, period: timedelta) -> Iterator[Finding]:
    """Check that the crons have run for this period."""
    types = [job.type for job in worker.jobs if job.schedule]
    first = [row["first_tick"] for row in db.rows(SQL["cutover_first_tick"], job_types=types)]
    if not first:
        yield Finding(
            "crons",
            False,
            "no cron has fired yet: run mauntic cutover enable and wait for the next hour",
        )
        return
    age = now - min(first)
    done = age >= period
    hours = f"{age.total_seconds() / 3_600:.1f} of {period.total_seconds() / 3_600:.0f} hours"
    yield Finding("crons", done, f"crons have run for {hours}" + ("" if done else ": watch on"))


def of_windows(db: Database, worker: Worker, now: datetime, period: timedelta) -> Iterator[Finding]:
    """Check that every due window after its grace was run."""
    for job in worker.jobs:
        if job.schedule is None or job.schedule.is_about_now:  # it does not run every window
            continue
        begun = [
            row["first_tick"] for row in db.rows(SQL["cutover_first_tick"], job_types=[job.type])
        ]
        since = max(now - period, *begun) if begun else now
        due = [
            window
            for window in job.schedule.between(job.schedule.window_of(since).start, now)
            if since <= job.schedule.planned_for(window) <= now - job.schedule.grace
        ]
        run = set(succeeded(db, job, due[0].start, due[-1].end)) if due else set()
        missing = [window for window in due if window.start not in run]
        why = f"{len(due) - len(missing)} of {len(due)} due windows were run"
        first = f"; the first that was not is {missing[0]}" if missing else ""
        yield Finding(job.type, not missing, why + first)


def of_ills(db: Database, worker: Worker, since: datetime) -> Iterator[Finding]:
    """Check for dead, failing, skipped and late windows, and for open dead letters."""
    ills = db.rows(
        SQL["cutover_unwell"],
        job_types=[job.type for job in worker.jobs],
        queues=[queue.name for queue in worker.queues],
        since=since,
    )
    for row in ills:
        error = f": {row['error']}" if row["error"] else ""
        yield Finding(row["job_type"], False, f"{row['count']} {row['what']}{error}")
    if not ills:
        yield Finding("ills", True, "nothing dead, failing, skipped or late")


def succeeded(db: Database, job: Job, start: datetime, end: datetime) -> list[datetime]:
    rows = db.rows(SQL["cutover_succeeded"], job_type=job.type, start=start, end=end)
    return [row["window_start"] for row in rows]


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
