"""`mauntic cutover`: switch from the old scheduler to this one step by step, and back.

Each step shows what is done, what is not, and why. It exits with 0 only if everything that it can
do or check is done; steps for the operator are marked `YOURS`.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import typer

from mauntic.cli.ui.options import AsJson
from mauntic.cli.ui.output import console, print_json, print_table, say
from mauntic.cutover import findings, shadow
from mauntic.cutover.shadow import Days
from mauntic.errors import OperatorError
from mauntic.operations import provisioning
from mauntic.operations.systems import open_records
from mauntic.operations.vendor import wrangler
from mauntic.operations.vendor.api import account_and_token, open_vendor
from mauntic.operations.vendor.wrangler import put_secret
from mauntic.operations.worker_catalog import schedule_of, workers
from mauntic.project.envs import CONFIG
from mauntic.project.printable import count_of
from shared.jobs import Job, Worker
from shared.ports import Database

app = typer.Typer(
    no_args_is_help=True,
    help="""Switch from the old scheduler to this one step by step, and back.

    Examples:

      mauntic cutover preflight --env analytics

      mauntic cutover enable --env analytics

      mauntic cutover back --env analytics
    """,
)

Env = Annotated[str, typer.Option(help="The worker's env in wrangler.toml.")]

POLL_S = 60
SHOWN_MAX = 100

START_OLD = findings.Finding(
    "old scheduler",
    False,
    "set DISABLE_SCHEDULER=false on the old service and scale it up: it takes over at once",
    is_yours=True,
)
DO_NOT_START_OLD = findings.Finding(
    "old scheduler", False, "it must not be started before the gate is closed: both would work"
)


@app.command()
def preflight(env: Env, as_json: AsJson = False) -> None:
    """Check queues, dead-letter queues, bucket, Hyperdrive, gate, worker, schema and role.

    Example:

      DATABASE_URL=… DATABASE_URL_WORKERS=… mauntic cutover preflight --env analytics
    """
    worker = _worker(env)
    needs = provisioning.needs_of(CONFIG, [env])
    with open_vendor(os.environ) as api:
        account = provisioning.read_account(api, needs)
    url = _database_url()
    found = [*findings.of_account(worker, needs, account), *findings.of_schema(url)]
    _end([*found, *findings.of_role(os.environ)], as_json)


@app.command(name="shadow")
def shadow_run(
    start: Annotated[str, typer.Option("--from", metavar="DAY", help="First day, UTC.")],
    end: Annotated[str, typer.Option("--to", metavar="DAY", help="The day after the last.")],
    old_schema: Annotated[str | None, typer.Option(help="Schema of the copied old rows.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the rows of the new jobs with the rows of the old scheduler for some days.

    Until the first run of the new jobs, each call saves the old rows in a file, because the new
    rows replace them. Run the days with `mauntic backfill`, gate closed, then call it again.
    --old-schema reads the old rows from that schema, in DATABASE_URL_OLD if set.

    Examples:

      mauntic cutover shadow --from 2026-03-01 --to 2026-03-08
    """
    days, url = _days(start, end), _database_url()
    with open_records(remote=True) as db:
        old = _old_rows(db, url, days, old_schema)
        unrun = list(_unrun(db, days))
        if unrun:
            _end(unrun, as_json)
        rows = shadow.differences(db, old, days)
    _compare(rows, as_json)


def _old_rows(db: Database, url: str, days: Days, schema: str | None) -> shadow.OldRows:
    old_url = os.environ.get("DATABASE_URL_OLD")
    if old_url:
        return shadow.read_old_url(old_url, schema or shadow.OLD_SCHEMA, days)
    if schema:
        return shadow.read_copy(db, schema, days)
    kept = shadow.OldRowsFile(url, days)
    try:
        return shadow.keep(db, kept)
    except FileNotFoundError:
        raise OperatorError(
            f"The old rows of {days} in {kept.database} were not saved before the new rows were"
            " written: name a copy with --old-schema, or choose days that were not run yet, and"
            " neither were the two days after them."
        ) from None


def _unrun(db: Database, days: Days) -> Iterator[findings.Finding]:
    """Yield a finding for each job with windows in these days that have not succeeded."""
    start, end = (findings.midnight(day) for day in (days.start, days.end))
    for job in _daily_writers():
        schedule = schedule_of(job)
        missing = len(schedule.between(start, end)) - len(findings.succeeded(db, job, start, end))
        if missing:
            command = f"mauntic backfill {job.type} --from {days.start} --to {days.end} --remote"
            were = f"{count_of(missing, 'window')} {'was' if missing == 1 else 'were'} not run"
            yield findings.Finding(job.type, False, f"{were}: {command}")


def _daily_writers() -> list[Job]:
    return [job for worker in workers() for job in worker.jobs if job.type in shadow.WRITERS]


def _compare(rows: Sequence[Any], as_json: bool) -> None:
    wrong = [row for row in rows if not row["ours_are_right"]]
    if as_json:
        print_json({"differences": rows, "ours_wrong": len(wrong)})
    else:
        print_table("Differences", rows[:SHOWN_MAX], empty="none")
        if rows:
            agreed = f"the events agree with the new rows in {len(rows) - len(wrong):,}"
            say(f"{count_of(len(rows), 'difference')}; {agreed}")
    if wrong:
        raise typer.Exit(1)


@app.command()
def enable(env: Env, as_json: AsJson = False) -> None:
    """Open the gate: this scheduler works from the next cron on. The old one must be off.

    The current day's earlier hours must have run first: a day is the sum of its hours.

    Example:

      mauntic cutover enable --env analytics
    """
    worker, url = _worker(env), _database_url()
    account_and_token(os.environ)
    with open_records(remote=True) as db:
        found = list(findings.of_today(db, worker, datetime.now(UTC)))
    found += findings.of_schema(url)
    if all(finding.done for finding in found):
        found.append(_set_gate(worker, "true"))
    _end(found, as_json)


@app.command()
def watch(
    env: Env,
    hours: Annotated[int, typer.Option(min=1, help="Period without problems, in hours.")] = 24,
    wait: Annotated[bool, typer.Option("--wait", help="Repeat every minute until done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check that every window of the last hours ran, and nothing died or was late.

    Examples:

      mauntic cutover watch --env analytics

      mauntic cutover watch --env analytics --wait
    """
    worker = _worker(env)
    _database_url()
    while True:
        now = datetime.now(UTC)
        with open_records(remote=True) as db:
            found = [
                *findings.of_age(db, worker, now, timedelta(hours=hours)),
                *findings.of_windows(db, worker, now, timedelta(hours=hours)),
                *findings.of_ills(db, worker, now - timedelta(hours=hours)),
            ]
        is_young = [not finding.done for finding in found] == [True] + [False] * (len(found) - 1)
        if not (wait and is_young):
            _end(found, as_json)
        time.sleep(POLL_S)


@app.command()
def back(env: Env, as_json: AsJson = False) -> None:
    """Close the gate: no cron of this worker enqueues anything until it is enabled again.

    Start the old scheduler only after that; this is a manual step.

    Example:

      mauntic cutover back --env analytics
    """
    worker = _worker(env)
    account_and_token(os.environ)
    gate = _set_gate(worker, "false")
    _end([gate, START_OLD if gate.done else DO_NOT_START_OLD], as_json)


def _set_gate(worker: Worker, value: str) -> findings.Finding:
    command = put_secret(f"gate {worker.gate}", worker.gate, worker.env, stdin=value)
    try:
        done = wrangler.run(command) == 0
    except (OSError, subprocess.SubprocessError) as error:
        return findings.Finding(worker.gate, False, f"{command.line}: {error}")
    return findings.Finding(worker.gate, done, f"is {value}" if done else f"failed: {command.line}")


def _worker(env: str) -> Worker:
    for worker in workers():
        if worker.env == env:
            return worker
    raise OperatorError(
        f"There is no worker {env}; there are {', '.join(w.env for w in workers())}."
    )


def _database_url() -> str:
    """Return the deployed database's URL, which every step needs."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise OperatorError("Set DATABASE_URL to the deployed database.")
    return url


def _days(start: str, end: str) -> Days:
    try:
        days = Days(date.fromisoformat(start), date.fromisoformat(end))
    except ValueError as error:
        raise OperatorError(f"--from and --to take days such as 2026-03-01: {error}.") from None
    if days.start >= days.end:
        raise OperatorError("--to must be after --from.")
    today = datetime.now(UTC).date()
    if days.end > today:
        raise OperatorError(
            f"Not all days of {days} have ended: --to can be at most {today}, in UTC."
        )
    return days


def _end(found: Sequence[findings.Finding], as_json: bool) -> None:
    """Print the findings; exit with 0 if all but the operator's own steps are done, else 1."""
    if as_json:
        print_json([vars(finding) for finding in found])
    else:
        for finding in found:
            mark, style = _mark(finding)
            console.print(f"{mark:<8} ", style=style, end="")
            say(f"{finding.subject}: {finding.why}")
    raise typer.Exit(0 if all(finding.done or finding.is_yours for finding in found) else 1)


def _mark(finding: findings.Finding) -> tuple[str, str]:
    if finding.is_yours:
        return "YOURS", "bold yellow"
    return ("done", "green") if finding.done else ("NOT DONE", "bold red")
