"""Run the tests against a copy of the tree in which one mutant is applied."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants.draw import ROOT
from tests.mutants.mutant import Mutant

LINKED = (".venv", "node_modules", "python_modules")
FAST = ("tests/shared", "tests/workers", "tests/test_sql.py", "tests/test_doctests.py")
SIMULATOR = ("tests/sim",)
TIME_LIMIT_S = 1_200
NOTHING_FAILED, TESTS_FAILED = 0, 1


@dataclass(frozen=True)
class Verdict:
    """What the tests made of a mutant: `noticed_by` is the failed test, empty if none failed."""

    mutant: Mutant
    noticed_by: str
    seconds: float


@contextmanager
def tree_copy() -> Iterator[Path]:
    """A copy of what Git tracks, with links to the installed packages."""
    with TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder)
        listed = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
        )
        for name in listed.stdout.splitlines():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
        for name in LINKED:
            if (ROOT / name).exists():
                (tree / name).symlink_to(ROOT / name)
        yield tree


def try_mutant(mutant: Mutant, tree: Path) -> Verdict:
    """Apply the mutant, run the tests nearest to it first, and restore the file."""
    started = time.monotonic()
    original = (tree / mutant.path).read_text(encoding="utf-8")
    mutant.apply(tree)
    try:
        noticed_by = first_failure(tree, stages(mutant.path, tree))
    finally:
        (tree / mutant.path).write_text(original, encoding="utf-8")
    return Verdict(mutant, noticed_by, time.monotonic() - started)


def stages(path: str, tree: Path) -> list[Sequence[str]]:
    """The tests that mirror the file, then all fast tests, then the simulator."""
    stem = Path(path).stem
    nearest = sorted(
        str(found.relative_to(tree)) for found in (tree / "tests").rglob(f"test_*{stem}*.py")
        if str(found.relative_to(tree)).startswith(("tests/shared", "tests/workers"))
    )  # fmt: skip
    return [stage for stage in (nearest, FAST, SIMULATOR) if stage]


def first_failure(tree: Path, stages: Sequence[Sequence[str]]) -> str:
    """The first test that fails, by its id; empty if all pass."""
    for stage in stages:
        failure = _run(tree, stage)
        if failure:
            return failure
    return ""


def _run(tree: Path, tests: Sequence[str]) -> str:
    path = os.pathsep.join([str(tree), str(tree / "workers")])
    environment = os.environ | {
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",  # a mutant may have its original's size and second
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        ended = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return "time limit"
    if ended.returncode == NOTHING_FAILED:
        return ""
    failed = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if ended.returncode == TESTS_FAILED and failed:
        return failed[0].split(" ")[1]
    return f"pytest ended with {ended.returncode}"
