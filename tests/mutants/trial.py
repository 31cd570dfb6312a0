"""Run the tests against a copy of the tree in which one mutant is applied."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from mauntic.database.embedded.server import temporary_server
from tests.mutants.draw import ROOT
from tests.mutants.mutant import Mutant
from tests.mutants.record import (
    FAST,
    NO_TESTS,
    NOTHING_FAILED,
    OPTIONS,
    TESTS_FAILED,
    Record,
)

LINKED = (".venv", "node_modules", "python_modules")
SIMULATOR = ("tests/sim",)
FASTEST = 30  # tests of the first stage: most mutants are noticed by one of them
TIME_LIMIT_S = 1_200
SLOWER_BY = 8  # a stage takes no longer than that many times its recorded time
START_S = 120
FIRST_FAILURE = ("-x", "--tb=line")
# The packages of plugins are loaded before pytest starts.
WARNINGS = ("-W", "ignore::pytest.PytestAssertRewriteWarning")


@dataclass(frozen=True)
class Verdict:
    """The outcome of a trial: `noticed_by` is the failed test, empty if none failed."""

    mutant: Mutant
    noticed_by: str
    seconds: float
    executed_by: int = 0


@dataclass(frozen=True)
class Stage:
    """Tests to run together: files or folders, of which some tests only, or without some."""

    paths: Sequence[str]
    only: Sequence[str] | None = None
    without: Sequence[str] = ()
    limit_s: float = TIME_LIMIT_S


@dataclass
class Tree:
    """A copy of the code with a process that starts pytest and, once it is there, a database."""

    path: Path
    environment: dict[str, str]
    process: subprocess.Popen[str]
    writes: int = field(default=0)

    def first_failure(self, stages: Sequence[Stage]) -> str:
        """The first test that fails, by its id; empty if all pass."""
        return next(filter(None, map(self._run, stages)), "")

    def write(self, path: str, text: str) -> None:
        """Write a file with a time of its own: its bytecode is never taken for another text's."""
        self.writes += 1
        to = self.path / path
        moment = to.stat().st_mtime + 2 * self.writes
        to.write_text(text, encoding="utf-8")
        os.utime(to, (moment, moment))

    def _run(self, stage: Stage) -> str:
        output = self.path / ".pytest-output"
        request = {
            "arguments": [*OPTIONS, *FIRST_FAILURE, *WARNINGS, *stage.paths],
            "only": stage.only,
            "without": list(stage.without),
            "output": str(output),
            "limit_s": stage.limit_s,
        }
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        code = json.loads(self.process.stdout.readline())
        if code is None:
            return "time limit"
        if code in (NOTHING_FAILED, NO_TESTS):
            return ""
        lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
        failed = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
        if code == TESTS_FAILED and failed:
            return failed[0].partition(" ")[2]
        return f"pytest ended with {code}"


@contextmanager
def tree_copy() -> Iterator[Tree]:
    """A copy of what Git tracks, with links to the installed packages and a database."""
    with ExitStack() as stack:
        path = Path(stack.enter_context(TemporaryDirectory(prefix="mutants-")))
        listed = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
        )
        for name in listed.stdout.splitlines():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path / name)
        for name in LINKED:
            if (ROOT / name).exists():
                (path / name).symlink_to(ROOT / name)
        server = stack.enter_context(temporary_server(in_memory=True))
        yield stack.enter_context(opened(path, {"TEST_POSTGRES": str(server.log.parent)}))


@contextmanager
def opened(path: Path, environment: dict[str, str] | None = None) -> Iterator[Tree]:
    """Start the process that runs the tests of a tree; it ends with the context."""
    imports = os.pathsep.join([str(path), str(path / "workers")])
    environment = os.environ | {"PYTHONPATH": imports} | (environment or {})
    process = subprocess.Popen(
        [sys.executable, "-P", str(ROOT / "tests" / "mutants" / "warm.py")],
        cwd=path,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Tree(path, environment, process)
        assert process.stdin
        process.stdin.close()


def try_mutant(mutant: Mutant, tree: Tree, record: Record, *, quick: bool = False) -> Verdict:
    """Apply the mutant, run the tests that execute it first, and restore the file."""
    started = time.monotonic()
    original = (tree.path / mutant.path).read_text(encoding="utf-8")
    executing = record.tests_of(mutant, tree.path)
    planned = stages(mutant, tree.path, record, quick=quick)
    tree.write(mutant.path, mutant.text)
    try:
        noticed_by = tree.first_failure(planned)
    finally:
        tree.write(mutant.path, original)
    return Verdict(mutant, noticed_by, time.monotonic() - started, len(executing))


def stages(mutant: Mutant, tree: Path, record: Record, *, quick: bool = False) -> list[Stage]:
    """The tests that execute the mutant, then the other fast ones, then the simulator.

    Where no test is known to execute it, the tests that mirror its file come first. A quick trial
    runs the first group alone.
    """
    executing = record.tests_of(mutant, tree)
    groups = [tests for tests in (executing[:FASTEST], executing[FASTEST:]) if tests]
    first = [_chosen(tests, record) for tests in groups]
    if not executing and (files := mirrors(mutant.path, tree)):
        first = [Stage(files)]
    if quick:
        return first
    return [*first, Stage(FAST, without=[*executing, *record.failing]), Stage(SIMULATOR)]


def _chosen(tests: Sequence[str], record: Record) -> Stage:
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    seconds = sum(record.seconds[test] for test in tests)
    return Stage(files, only=tests, limit_s=START_S + SLOWER_BY * seconds)


def mirrors(path: str, tree: Path) -> list[str]:
    """The test files named after a file of the code."""
    found = (
        str(found.relative_to(tree))
        for found in (tree / "tests").rglob(f"test_*{Path(path).stem}*.py")
    )
    return sorted(name for name in found if name.startswith(("tests/shared", "tests/workers")))
