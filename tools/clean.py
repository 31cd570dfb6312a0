"""Remove the results of setup and runs: packages, bundles, caches and the local database.

`--dry-run` lists what would be removed. On a terminal it asks first, unless `--yes` is given. It
refuses while `mauntic dev` runs here, or while a command uses the local database.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mauntic.database.embedded import pidfile
from mauntic.database.embedded.hold import Use
from mauntic.project.private_files import read_private
from mauntic.project.programs import ROOT
from mauntic.project.temp_dir import elsewhere, is_ours

MADE = [
    *(".local", ".venv", ".wrangler", "build", "node_modules", "python_modules"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"),
]
STOP_TIMEOUT_S = 30
POLL_S = 0.05


def main(arguments: list[str]) -> int:
    """Remove everything, and print it."""
    parser = argparse.ArgumentParser(prog="clean", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="list it; remove nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    chosen = parser.parse_args(arguments)
    there = list(removable())
    if chosen.dry_run:
        for path in there:
            print(f"  would remove {describe(path)}")
        return 0
    if (
        refusal := busy_reason()
        or in_use(ROOT / ".local" / "postgres" / "users")
        or not_confirmed(there, yes=chosen.yes)
    ):
        print(f"clean: {refusal}", file=sys.stderr)
        return 1
    end_server((ROOT / ".local" / "postgres").resolve() / "data")
    for path in there:
        remove(path)
        print(f"  removed {describe(path)}")
    for cache in list(ROOT.rglob("__pycache__")):
        shutil.rmtree(cache, ignore_errors=True)
    return 0


def removable() -> Iterator[Path]:
    """Yield the existing paths, including files in /var/tmp, where root has them."""
    yield from (path for path in (ROOT / name for name in MADE) if path.exists())
    if elsewhere().exists() and is_ours(elsewhere()):
        yield elsewhere()


def describe(path: Path) -> str:
    """Return the path's name, and its content if that cannot be created again."""
    name = str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
    holds_database = path == elsewhere() or (path / "postgres").exists()
    return f"{name}, with the local database" if holds_database else name


def busy_reason() -> str | None:
    """Return the reason not to remove anything now: a running system would continue without its
    files.
    """
    state = ROOT / ".local" / "runtime.json"
    try:
        pid = int(json.loads(read_private(state))["pid"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    except OSError:
        name = state.relative_to(ROOT)
        return f"{name} belongs to another account, which may run `mauntic dev` here."
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # it runs, under another account
    return (
        f"`mauntic dev` runs here, as process {pid}: end it first, with Ctrl-C or `kill {pid}`."
        f" If that process is something else, remove {state.relative_to(ROOT)}."
    )


def in_use(users: Path) -> str | None:
    """Return the reason if a command that uses the embedded server is running."""
    with suppress(OSError):
        if users.exists() and Use(users).end():
            return "a command such as `mauntic demo` uses the local database: wait until it ends."
    return None


def not_confirmed(there: list[Path], *, yes: bool) -> str | None:
    """Ask the operator on a terminal; return the reason not to remove, or None for yes."""
    if yes or not there or not sys.stdin.isatty():
        return None
    listed = "; ".join(map(describe, there))
    try:
        answer = input(f"Remove {listed}? [y/N] ")
    except (EOFError, KeyboardInterrupt):
        answer = ""
        print()
    return None if answer.strip().lower() in ("y", "yes") else "nothing was removed."


def end_server(data: Path) -> None:
    """End a server that is still running, and wait until it has written its last file."""
    running = pidfile.read(data)
    if running is None:
        return
    with suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGINT)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while pidfile.read(data) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def remove(path: Path) -> None:
    """Remove a directory, even if another process removes files from it at the same time."""
    while path.exists():
        with suppress(FileNotFoundError):
            shutil.rmtree(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
