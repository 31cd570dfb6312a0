"""The pages that are made from the code: jobs, schedules, message schemas, events and metrics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mauntic.project.programs import ROOT
from shared.errors import CODED, RULES, Rule
from shared.jobs import Job, Worker
from shared.telemetry.events import EVENTS
from shared.telemetry.log import FIELDS
from shared.telemetry.metrics import BLOBS, DOUBLES, FEED_BLOBS, FEED_DOUBLES, FEED_EVENT

NOTE = "<!-- Made by `make catalogue` from the code: change it there. -->"


def pages(workers: Sequence[Worker]) -> dict[Path, str]:
    """Every generated page, whole, by its path."""
    schemas = {
        ROOT / "docs" / "schemas" / f"{job.type}.json": schema(job)
        for worker in workers
        for job in worker.jobs
    }
    return {
        ROOT / "docs" / "jobs.md": jobs_page(workers),
        ROOT / "docs" / "events.md": events_page(),
        ROOT / "docs" / "errors.md": errors_page(),
        ROOT / "README.md": readme(workers),
        **schemas,
    }


def jobs_page(workers: Sequence[Worker]) -> str:
    """docs/jobs.md: a section a worker, a table a job."""
    parts = ["# Jobs", NOTE]
    for worker in workers:
        queue = worker.queue
        parts.append(
            f"## {worker.name}\n\nQueue `{queue.name}` (binding `{queue.binding}`,"
            f" {queue.max_retries} retries), dead letters in `{queue.dead_letter_name}`,"
            f" gate `{worker.gate}`."
        )
        parts += [_job_section(job, worker) for job in worker.jobs]
    return "\n\n".join(parts) + "\n"


def _job_section(job: Job, worker: Worker) -> str:
    rows = [("Purpose", job.purpose), ("Message", f"[schema](schemas/{job.type}.json)")]
    if job.aliases:
        rows.append(("Also accepted", ", ".join(f"`{alias}`" for alias in job.aliases)))
    if job.schedule:
        window = job.schedule.newest_due(datetime(2026, 3, 1, 12, tzinfo=UTC))
        rows += [
            ("Schedule", f"`{job.schedule.cron}` (UTC)"),
            ("Window", f"at noon of 2026-03-01 the newest due is {window}"),
            ("Overdue after", spoken(job.schedule.grace)),
        ]
    rows.append(
        (
            "By hand",
            f"`mauntic jobs run {job.type}`"
            if job.schedule
            else f"`mauntic enqueue {worker.queue.name} …`",
        )
    )
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"### {job.type}\n\n| | |\n|---|---|\n{table}"


def events_page() -> str:
    """docs/events.md: what the workers log and measure."""
    events = "\n".join(f"| `{e.name}` | {e.meaning} | {e.remedy or '—'} |" for e in EVENTS)
    fields = ", ".join(f"`{name}`" for name in sorted(FIELDS))
    return (
        f"# Events and metrics\n\n{NOTE}\n\nOne JSON object a line. Fields are from this"
        f" list alone, which is what keeps personal data out: {fields}.\n\n"
        "`error` and `traceback` contain an error's text only if [errors.md](errors.md) lists it as"
        " safe to log. Of any other error they contain the class; its text is in `ops.job_runs`,"
        " `ops.dead_letters` or `ops.message_failures`.\n\n"
        f"| event | meaning | what to do |\n|---|---|---|\n{events}\n\n"
        "## The metric point\n\nOne Analytics Engine point a message, indexed by queue.\n\n"
        f"{_columns(BLOBS, DOUBLES)}\n"
        "## The point of the change feed\n\nOne Analytics Engine point a fold, in the same"
        f" dataset, indexed by consumer. The event is `{FEED_EVENT}`; `count` is how many rows wait"
        " after the fold, `age_s` the age of the oldest in seconds. Of an empty feed both are 0."
        f" While the feed is empty no fold runs.\n\n{_columns(FEED_BLOBS, FEED_DOUBLES)}"
    )


SOURCE_TITLES = {
    "sqlstate": "Postgres: `DatabaseError:` and an SQLSTATE that begins with",
    "r2": "R2: `StorageError:` and an HTTP status that begins with",
    "http": "HTTP: `HttpFailed:` and",
    "email": "E-mail binding: `EmailFailed:` and a code that begins with",
    "exception": "Exceptions, by their own name or that of a base class",
    "outcome": "Outcomes that a worker records without an exception",
}


def errors_page() -> str:
    """docs/errors.md: what each error means, whether it is retried, and what to do about it."""
    parts = [
        "# Errors",
        NOTE,
        "Runs, failed attempts, dead letters and log lines name an error by its class: the name of"
        " the exception, and its code if it has one, such as `DatabaseError:42P01`. The first row"
        " that matches applies. An error without a row is a programming error: it is not retried,"
        " and its text is not logged.",
        "A message that is not retried, or failed in its last delivery, is a dead letter. After the"
        " remedy, `mauntic redrive` sends it again.",
    ]
    for source, title in SOURCE_TITLES.items():
        rows = "\n".join(_error_row(rule) for rule in RULES if rule.source == source)
        parts.append(
            f"## {title}\n\n| code | meaning | retried | text is logged | what to do |\n"
            f"|---|---|---|---|---|\n{rows}"
        )
    return "\n\n".join(parts) + "\n"


def _error_row(rule: Rule) -> str:
    coded = CODED.get(rule.source)
    is_logged = coded.is_safe_to_log if coded else rule.safe_to_log
    cells = (
        f"`{rule.code}`",
        rule.meaning,
        "yes" if rule.retryable else "no",
        "yes" if is_logged else "no",
        rule.remedy or "—",
    )
    return f"| {' | '.join(cells)} |"


def _columns(blobs: Sequence[str], doubles: Sequence[str]) -> str:
    """The table of a point's columns."""
    rows = [f"| `blob{n}` | {name} |\n" for n, name in enumerate(blobs, 1)]
    rows += [f"| `double{n}` | {name} |\n" for n, name in enumerate(doubles, 1)]
    return f"| column | holds |\n|---|---|\n{''.join(rows)}"


def schema(job: Job) -> str:
    """The JSON Schema of a job's message, for producers in other languages."""
    described = job.message.model_json_schema(by_alias=True)
    described["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    described["description"] = job.purpose
    return json.dumps(described, indent=2, sort_keys=True) + "\n"


def readme(workers: Sequence[Worker]) -> str:
    """README.md with its table of schedules."""
    rows = [
        (job.schedule.cron, worker.name, job.type, job.purpose)
        for worker in workers
        for job in worker.jobs
        if job.schedule
    ]
    lines = [
        f"| `{cron}` | {name} | [{kind}](docs/jobs.md) | {purpose} |"
        for cron, name, kind, purpose in sorted(rows)
    ]
    table = "\n".join(["| cron (UTC) | worker | job | what it does |", "|---|---|---|---|", *lines])
    return replaced((ROOT / "README.md").read_text(), "schedules", table)


def replaced(text: str, block: str, content: str) -> str:
    """The text with what stands between a block's two marks replaced."""
    begin, end = f"<!-- generated: {block} -->", f"<!-- end of generated: {block} -->"
    head, found, rest = text.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"there is no block {begin} … {end}")
    return f"{head}{begin}\n{content}\n{end}{tail}"


def spoken(span: timedelta) -> str:
    """A span as a person says it.

    >>> spoken(timedelta(minutes=30)), spoken(timedelta(hours=2))
    ('30 minutes', '2 hours')
    """
    minutes = round(span.total_seconds() / 60)
    return (
        f"{minutes // 60} hour{'s' * (minutes != 60)}"
        if minutes % 60 == 0
        else f"{minutes} minutes"
    )
