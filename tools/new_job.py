"""`make new-job TYPE=analytics.purge-drafts CRON="0 4 * * *"`: create a job and its test.

All files are created, and the generated files brought up to date, or nothing changes.
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cronsim import CronSim, CronSimError

from mauntic.project.programs import ROOT
from shared import windows
from shared.sql.blocks import SqlBlocks
from shared.windows import WindowOf, first_gap
from tools.example_table import ExampleTable, example_table
from tools.scaffold import CannotCreate, render, run

NAME = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
TYPE = re.compile(rf"(?P<worker>{NAME})\.(?P<name>{NAME})")
NAME_CHARS_MAX = 40
CRON = "0 4 * * *"
SOME_DAY = datetime(2026, 3, 11, 12, 34, tzinfo=UTC)
WINDOWS: tuple[WindowOf, ...] = (
    windows.minute_before,
    windows.five_minutes_before,
    windows.quarter_hour_before,
    windows.hour_before,
    windows.day_before,
    windows.month_before,
)


def main(arguments: list[str] | None = None) -> int:
    """Create the job; exit code 2 if it cannot be, with the cause and the remedy."""
    parser = argparse.ArgumentParser(prog="make new-job", description=__doc__)
    parser.add_argument("type", help="worker and name, for example analytics.purge-drafts")
    parser.add_argument("--cron", default=CRON, help="five fields, in UTC")
    parser.add_argument("--purpose", help="one sentence: what the job does")
    parser.add_argument("--dry-run", action="store_true", help="only list the files")
    given = parser.parse_args(arguments)

    def files() -> dict[Path, str]:
        return new_files(given.type, given.cron, given.purpose, ROOT)

    code = run("new-job", files, dry_run=given.dry_run)
    if code == 0 and not given.dry_run:
        print("Next: replace the statement in sql/ and what the test expects, then `make test`.")
    return code


def new_files(job_type: str, cron: str, purpose: str | None, root: Path) -> dict[Path, str]:
    """The files of a new job of an existing worker, by their path in the tree."""
    match = TYPE.fullmatch(job_type)
    found = sorted(path.parent.name for path in (root / "workers").glob("*/jobs"))
    if not match or package_of(match["worker"]) not in found:
        names = ", ".join(name.replace("_", "-") for name in found)
        raise CannotCreate(
            f"{job_type!r} is not a job type. Use WORKER.some-name in small letters, where WORKER"
            f" is one of {names}. `make new-worker` creates another worker."
        )
    return job_files(match["worker"], match["name"], cron, purpose, root)


def job_files(
    worker: str, name: str, cron: str, purpose: str | None, root: Path
) -> dict[Path, str]:
    """The files of a job: its declaration, its statement, its test."""
    require_job_name(name)
    package, snake = package_of(worker), package_of(name)
    home, tests = Path("workers") / package, Path("tests/workers") / package
    if snake in SqlBlocks(root / home / "sql").blocks:
        raise CannotCreate(f"{home}/sql has a statement {snake}. Choose another name.")
    table = example_table(package, root)
    purpose = purpose or f"Count the rows of {table.name} in the window."
    names = {
        **_of_schedule(cron),
        **_of_table(table),
        "type": f"{worker}.{name}",
        "package": package,
        "snake": snake,
        "camel": "".join(part.capitalize() for part in name.split("-")),
        "purpose": checked_purpose(purpose),
    }
    return {
        home / "jobs" / f"{snake}.py": render("job/job.py.txt", names),
        home / "sql" / f"{snake}.sql": render("job/job.sql.txt", names),
        tests / f"test_{snake}.py": render("job/test_job.py.txt", names),
    }


def package_of(name: str) -> str:
    """The Python name of a worker or job.

    >>> package_of("deliveries-demo")
    'deliveries_demo'
    """
    return name.replace("-", "_")


def require_job_name(name: str) -> None:
    if keyword.iskeyword(name):
        raise CannotCreate(f"{name} is a keyword of Python. Choose another name.")
    if len(name) > NAME_CHARS_MAX:
        raise CannotCreate(f"{name} is too long. Use at most {NAME_CHARS_MAX} characters.")


def checked_purpose(purpose: str) -> str:
    """The purpose, which becomes a docstring, if it is one line that cannot end it."""
    if not purpose.isprintable() or "\\" in purpose or '"""' in purpose or purpose.endswith('"'):
        raise CannotCreate(
            "A purpose is one sentence on one line, without a backslash and without a quotation"
            " mark at its end."
        )
    return purpose


def planned_time(cron: str) -> datetime:
    """A planned time of the cron; CannotCreate if the platform would not take the cron."""
    if not cron.isprintable() or len(cron.split()) != 5:
        raise CannotCreate(f"{cron!r} is not a cron expression. Use five fields on one line.")
    try:
        return next(CronSim(cron, SOME_DAY, reverse=True))
    except (CronSimError, StopIteration) as error:
        raise CannotCreate(f"{cron!r} is not a cron expression: {error}") from None


def window_for(cron: str) -> WindowOf:
    """The windows that fit a cron: each planned time means the time since the one before.

    >>> window_for("0 4 * * *").__name__, window_for("*/15 * * * *").__name__
    ('day_before', 'quarter_hour_before')
    """
    for window_of in WINDOWS:
        with suppress(ValueError):
            if first_gap(cron, window_of) is None:
                return window_of
    lengths = ", ".join(window_of.__name__.replace("_", " ") for window_of in WINDOWS)
    raise CannotCreate(
        f"No window fits the cron {cron!r}: it must fire once a window, and there are {lengths}."
        " Choose another cron, or create the job with one and then edit its schedule."
    )


def _of_schedule(cron: str) -> Mapping[str, str]:
    planned = planned_time(cron)
    window_of = window_for(cron)
    window = window_of(planned)
    return {
        "cron": cron,
        "window_of": window_of.__name__,
        "planned": planned.isoformat(),
        "start": window.start.isoformat(),
        "end": window.end.isoformat(),
    }


def _of_table(table: ExampleTable) -> Mapping[str, str]:
    columns = [table.moment, *table.required]
    return {
        "table": table.name,
        "moment": table.moment,
        "columns": ", ".join(columns),
        "parameters": ", ".join(f":{column}" for column in columns),
        "values": "\n            ".join(
            f"{name}={value}," for name, value in table.required.items()
        ),
    }


if __name__ == "__main__":
    sys.exit(main())
