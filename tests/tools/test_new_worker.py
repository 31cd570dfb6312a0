"""`make new-worker`: its page, followed literally in a copy of the project."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import pytest

from tests.thorough import long
from tests.tools.copied import ROOT, copy_project, environment, files, run
from tools.new_worker import new_files
from tools.scaffold import CannotCreate, render

PAGE = (ROOT / "docs" / "adding-a-worker.md").read_text(encoding="utf-8")
WORKERS = sorted(path.parent.name for path in ROOT.glob("workers/*/jobs"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return copy_project(tmp_path)


def commands(section: str) -> list[str]:
    """The lines of the code blocks below a heading of the page."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def follow(copy: Path, line: str) -> str:
    """Run a line of the page in a shell. Setup has been done, so `make` skips it."""
    return run(copy, "bash", "-c", re.sub(r"^make ", "make PYTHON=true ", line))


@long
def test_following_the_page_gives_a_worker_that_passes_every_check(copy: Path) -> None:
    before = files(copy)
    output = "".join(follow(copy, line) for line in commands("Create it"))
    created = {path for path in files(copy) if path not in before}
    assert created == set(re.findall(r"^created (\S+)$", output, re.MULTILINE))
    modules = {path for path in created if not path.endswith("__init__.py")}
    assert {path for path in modules if not path.startswith(promised())} == set()
    for line in (*commands("Make it yours"), *commands("Check it")):
        output = follow(copy, line)
    assert "deliveries_demo: imports in" in output  # its start in the local runtime
    assert {path.name for path in (copy / "build").iterdir()} == {"deliveries_demo"}
    with developing(copy):
        for line in commands("Run it")[1:]:
            output = follow(copy, line)
    assert "deliveries-demo.count-contacts" in output
    assert "succeeded" in output
    run(copy, "ruff", "check", "--no-cache", ".")
    run(copy, "ruff", "format", "--no-cache", "--check", ".")
    tidy = ("tests/test_tidy.py", "tests/test_layers.py", "tests/test_package.py")
    run(copy, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tidy)


@contextmanager
def developing(copy: Path) -> Iterator[None]:
    """The first command of "Run it", up and waiting, on a free port."""
    command = shlex.split(commands("Run it")[0])
    assert command[:2] == ["mauntic", "dev"]
    process = subprocess.Popen(
        [*command, "--port", "0"],
        cwd=copy, env=environment(copy), stderr=subprocess.STDOUT, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        lines = list(takewhile(lambda line: "dev.ready" not in line, process.stdout))
        assert process.poll() is None, "".join(lines)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def promised() -> tuple[str, ...]:
    """The paths of the page's table."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    return tuple(path for row in rows for path in re.findall(r"`([^`]+)`", row.split("|")[1]))


def test_the_page_deploys_the_worker_that_it_creates() -> None:
    [create] = commands("Create it")
    assert "NAME=deliveries-demo " in create
    assert all("deliveries_demo" in line for line in commands("Deploy it"))


@pytest.mark.parametrize("worker", WORKERS)
def test_the_entry_of_every_worker_with_jobs_is_the_same(worker: str) -> None:
    """Except for the worker's own name."""
    entry = (ROOT / "workers" / worker / "entry.py").read_text(encoding="utf-8")
    [name] = re.findall(r'"""The worker (\S+), as', entry)
    own = render("worker/entry.py.txt", {"package": worker, "name": name})
    assert sorted(entry.splitlines()) == sorted(own.splitlines())


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("Deliveries", "small letters"),
        ("deliveries_demo", "small letters"),
        ("2fast", "small letters"),
        ("a--b", "small letters"),
        ("-a", "small letters"),
        ("", "small letters"),
        ("a\n", "small letters"),
        ("../a", "small letters"),
        ("x" * 41, "at most 40"),
        ("class", "keyword of Python"),
        ("statistics", "module of the standard library"),
        ("compression", "module of the standard library"),
        ("pydantic", "package in python_modules/"),
        ("typing-extensions", "package in python_modules/"),
        ("shared", "part of every bundle"),
        ("workers", "part of every bundle"),
        ("entry", "part of every bundle"),
        ("mauntic", "folder mauntic/"),
        ("docs", "folder docs/"),
        ("httpx", "installed package"),
        ("analytics", "workers/analytics exists"),
    ],
)
def test_a_name_that_cannot_be_a_worker_is_refused_with_the_reason(name: str, cause: str) -> None:
    with pytest.raises(CannotCreate, match=cause):
        new_files(name, "0 4 * * *", ROOT)


def test_nothing_is_created_where_tests_of_that_name_are_left(copy: Path) -> None:
    (copy / "tests" / "workers" / "deliveries_demo").mkdir()
    before = files(copy)
    done = subprocess.run(
        [sys.executable, "-m", "tools.new_worker", "deliveries-demo"],
        cwd=copy, env=environment(copy), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "tests/workers/deliveries_demo exists" in done.stderr
    assert files(copy) == before
