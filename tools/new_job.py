"""`make new-job TYPE=analytics.purge-drafts CRON="0 4 * * *"`: a job that works, with its test."""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from datetime import datetime
from pathlib import Path
from string import Template

from cronsim import CronSim, CronSimError

ROOT = Path(__file__).parent.parent
TYPE = re.compile(r"(?P<worker>[a-z]+)\.(?P<name>[a-z][a-z0-9]*(-[a-z0-9]+)*)")

JOB = Template('''"""PURPOSE_HERE"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

from shared.jobs import Job
from shared.messages import WindowMessage
from shared.outcome import Done
from shared.flow.window_run import Run
from shared.sql.blocks import SqlBlocks
from shared.windows import Schedule, day_before

SQL = SqlBlocks(Path(__file__).parent.parent / "sql")


class $camel(WindowMessage):
    type: Literal["$type"] = "$type"


async def $snake(run: Run) -> Done:
    """PURPOSE_HERE"""
    [row] = run.ports.db.rows(SQL["$snake"], start=run.window.start, end=run.window.end)
    return Done(rows_read=row["events"])


JOB = Job(
    message=$camel,
    handler=$snake,
    schedule=Schedule("$cron", window_of=day_before, grace=timedelta(hours=1)),
)
''')

SQL = Template("""-- name: $snake
-- What the job does to its window [:start, :end). Begin from here.
select count(*) as events
from analytics.contact_activity
where occurred_at >= :start and occurred_at < :end
""")

TEST = Template('''"""$type on a real Postgres."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from $worker.jobs.$snake import JOB
from shared.outcome import Done
from tests.running import run_job

PLANNED = datetime(2026, 3, 11, 12, tzinfo=UTC)


@pytest.mark.parametrize("times", [1, 2])
def test_it_can_be_run_any_number_of_times(database: str, times: int) -> None:
    for _ in range(times):
        outcome = run_job(JOB, database, PLANNED)
    assert outcome == Done(rows_read=0)
''')


def main(arguments: list[str] | None = None) -> int:
    """Write the three files, unless one of them is there."""
    parser = argparse.ArgumentParser(prog="make new-job", description=__doc__)
    parser.add_argument("type", help="worker and name, such as analytics.purge-drafts")
    parser.add_argument("--cron", default="0 4 * * *", help="in UTC, in five fields")
    parser.add_argument("--purpose", default="Say here, in one sentence, what the job is for.")
    given = parser.parse_args(arguments)
    try:
        files = new_files(given.type, given.cron, given.purpose, ROOT)
    except ValueError as error:
        print(f"new-job: {error}", file=sys.stderr)
        return 2
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    print(
        "Next: write the statement, say in the test what it must give,"
        " then `make catalogue` and `make test`."
    )
    return 0


def new_files(job_type: str, cron: str, purpose: str, root: Path) -> dict[Path, str]:
    """The files of the new job by path. ValueError says why there can be none."""
    match = TYPE.fullmatch(job_type)
    if not match or not (root / "workers" / match["worker"]).is_dir():
        workers = ", ".join(
            sorted(path.name for path in (root / "workers").iterdir() if path.is_dir())
        )
        raise ValueError(
            f"a type is WORKER.some-name, where WORKER is one of {workers}; not {job_type!r}"
        )
    if keyword.iskeyword(match["name"]):
        raise ValueError(f"{match['name']} is a word of Python's own: choose another name")
    if not purpose.isprintable() or "\\" in purpose or '"""' in purpose or purpose.endswith('"'):
        raise ValueError("a purpose is one sentence in one line, without a quote at its end")
    if not cron.isprintable():
        raise ValueError(f"{cron!r} is no cron expression in one line")
    try:
        CronSim(cron, datetime(2026, 1, 1))
    except CronSimError as error:
        raise ValueError(f"{cron!r} is no cron expression: {error}") from None
    worker, snake = match["worker"], match["name"].replace("-", "_")
    names = {
        "type": job_type,
        "worker": worker,
        "snake": snake,
        "cron": cron,
        "camel": _camel(match["name"]),
    }
    files = {
        root / "workers" / worker / "jobs" / f"{snake}.py": JOB.substitute(names).replace(
            "PURPOSE_HERE", purpose
        ),
        root / "workers" / worker / "sql" / f"{snake}.sql": SQL.substitute(names),
        root / "tests" / "workers" / worker / f"test_{snake}.py": TEST.substitute(names),
    }
    for path in files:
        if path.exists():
            raise ValueError(f"{path.relative_to(root)} is there already")
    return files


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


if __name__ == "__main__":
    sys.exit(main())
