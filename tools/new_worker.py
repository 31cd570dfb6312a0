"""`make new-worker NAME=deliveries-demo`: create a worker with one job that runs, and its tests.

All files are created, and the generated files brought up to date, or nothing changes.
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from mauntic.operations.worker_catalog import declared
from mauntic.project.connections import (
    DEAD_LETTER_CONNECTIONS,
    SETTING,
    connection_limit,
    held,
)
from mauntic.project.programs import ROOT
from tools.bundle import PYTHON_3_14_MODULES
from tools.new_job import CRON, NAME, job_files, package_of, planned_time
from tools.scaffold import CannotCreate, refuse_existing, render, run

# A queue's name has 63 characters at most: https://developers.cloudflare.com/queues/platform/limits/
NAME_CHARS_MAX = 40
FIRST_JOB = "count-contacts"
CONCURRENCY = 2  # initial number of concurrent consumers
CONNECTIONS = 2  # per consumer: the default of Queue
IN_EVERY_BUNDLE = {"entry", "shared", "workers"}


def main(arguments: list[str] | None = None) -> int:
    """Create the worker; exit code 2 if it cannot be, with the cause and the remedy."""
    parser = argparse.ArgumentParser(prog="make new-worker", description=__doc__)
    parser.add_argument("name", help="small letters, digits and hyphens: deliveries-demo")
    parser.add_argument("--cron", default=CRON, help="when its job runs: five fields, in UTC")
    parser.add_argument("--dry-run", action="store_true", help="only list the files")
    given = parser.parse_args(arguments)
    code = run("new-worker", lambda: new_files(given.name, given.cron, ROOT), dry_run=given.dry_run)
    if code == 0 and not given.dry_run:
        package = package_of(given.name)
        print(f"Next: `make test-fast`, then `mauntic dev --env {package}` runs it here.")
    return code


def new_files(name: str, cron: str, root: Path) -> dict[Path, str]:
    """The files of a new worker, by their path in the tree."""
    package = package_of(name)
    require_name(name, root)
    home, tests = Path("workers") / package, Path("tests/workers") / package
    for folder in (home, tests):
        refuse_existing(root, folder)
    names = {
        "package": package,
        "name": f"mauntic-{name}-queue",
        "queue": f"mauntic-{name}-jobs",
        "binding": f"{package.upper()}_JOBS",
        "gate": f"ENABLE_{package.upper()}_CRON",
        "max_concurrency": str(free_concurrency()),
        "cron": cron,
        "planned": planned_time(cron).isoformat(),
        "type": f"{name}.{FIRST_JOB}",
    }
    templates = {
        home / "__init__.py": "__init__.py.txt",
        home / "entry.py": "entry.py.txt",
        home / "worker.py": "worker.py.txt",
        home / "jobs" / "__init__.py": "jobs.py.txt",
        home / "store" / "__init__.py": "store.py.txt",
        home / "store" / "statements.py": "statements.py.txt",
        tests / "test_worker.py": "test_worker.py.txt",
    }
    files = {path: render(f"worker/{template}", names) for path, template in templates.items()}
    return {**files, tests / "__init__.py": "", **job_files(name, FIRST_JOB, cron, None, root)}


def free_concurrency() -> int:
    """Return the number of consumers of a new worker; raise CannotCreate if the others use every
    connection.

    Its consumers hold CONNECTIONS each, that of its dead letters holds one. At least one connection
    stays free for the ticks.
    """
    limit, taken = connection_limit(), held(declared().workers)
    free = (limit - 1 - taken - DEAD_LETTER_CONNECTIONS) // CONNECTIONS
    if free < 1:
        raise CannotCreate(
            f"The consumers of the other workers hold {taken} of {limit} connections."
            " Give one of their queues a smaller `max_concurrency` in its worker.py,"
            f" or raise `{SETTING}` in pyproject.toml."
        )
    return min(CONCURRENCY, free)


def require_name(name: str, root: Path) -> None:
    """Raise CannotCreate unless the name is a valid, unused name for a package, a queue and an
    env.
    """
    if not re.fullmatch(NAME, name) or len(name) > NAME_CHARS_MAX:
        raise CannotCreate(
            f"{name!r} cannot be a worker's name. Use small letters, digits and single hyphens,"
            f" beginning with a letter, at most {NAME_CHARS_MAX} characters: deliveries-demo."
        )
    package = package_of(name)
    if owner := owner_of(package, root):
        raise CannotCreate(
            f"{package} is the name of {owner}: `import {package}` would not find the worker."
            " Choose another name."
        )


def owner_of(package: str, root: Path) -> str | None:
    """Return what already has the package's name, on the host or in a bundle; None if nothing
    has.
    """
    vendored = {path.name.partition(".")[0] for path in (root / "python_modules").glob("*")}
    if keyword.iskeyword(package):
        return "a keyword of Python"
    if package in IN_EVERY_BUNDLE:
        return "a part of every bundle"
    if package in sys.stdlib_module_names | PYTHON_3_14_MODULES:
        return "a module of the standard library"
    if package in vendored:
        return "a package in python_modules/, which every bundle has"
    if (root / "workers" / package).exists():
        return None  # the folder's own check refuses it
    if (root / package).exists():
        return f"the folder {package}/ of this project"
    return "an installed package" if find_spec(package) else None


if __name__ == "__main__":
    sys.exit(main())
