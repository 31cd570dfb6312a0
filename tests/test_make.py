"""make takes variables only from its command line, as arguments and never as programs."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TARGETS = (
    *("deploy", "weigh", "dry-run", "clean", "new-job", "new-worker", "sim", "bench", "audit"),
    "mutants",
)
NAMES = (
    *("ENV", "YES", "DRY_RUN", "TYPE", "CRON", "SEEDS", "SEED", "DAYS", "ONLY", "COUNT", "FILE"),
    *("PYTHON_URL", "NODE_URL", "PYTHON", "NAME"),
)
EVIL = "x; touch owned #"


def would_run(target: str, *words: str, **environment: str) -> str:
    """Return the last command of the target, as the shell would get it."""
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", target, *words],
        cwd=ROOT, env={"PATH": os.environ["PATH"], **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()[-1].rstrip()


def test_the_fast_tests_start_no_local_runtime_and_no_simulator() -> None:
    words = shlex.split(would_run("test-fast"))
    assert words[words.index("-m") + 1] == "not e2e"
    folders = {word for word in words if word.startswith("tests/")}
    assert folders >= {"tests/shared", "tests/workers", "tests/test_*.py"}
    assert not folders & {"tests", "tests/e2e", "tests/local", "tests/sim", "tests/cli"}


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_profile_exports_changes_nothing(target: str) -> None:
    assert would_run(target, **dict.fromkeys(NAMES, EVIL)) == would_run(target)


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        ("deploy", "ENV", ["tools.deploy", "x;", "touch", "owned", "#"]),
        ("new-job", "TYPE", ["tools.new_job", EVIL]),
        ("new-job", "CRON", ["tools.new_job", "", "--cron", EVIL]),
        ("new-job", "DRY_RUN", ["tools.new_job", "", "--dry-run"]),
        ("new-worker", "NAME", ["tools.new_worker", EVIL]),
        ("new-worker", "CRON", ["tools.new_worker", "", "--cron", EVIL]),
        ("sim", "SEED", ["tests.sim", "--seeds", "100", "--seed", EVIL]),
        ("sim-deliveries", "SEED", ["tests.sim.deliveries", "--seeds", "100", "--seed", EVIL]),
        ("bench", "ONLY", ["bench", "--only", EVIL]),
        ("audit", "NODE_URL", ["tools.audit", "--node", EVIL]),
        ("clean", "YES", ["tools.clean", "--yes"]),
    ],
)
def test_what_the_command_line_says_is_an_argument(
    target: str, name: str, expected: list[str]
) -> None:
    words = shlex.split(would_run(target, f"{name}={EVIL}"))
    assert words[words.index("-m") + 1 :][-len(expected) :] == expected


@pytest.mark.parametrize("text", ["it's", "$(shell touch owned)", "`id`", "$$(id)", 'a"b', "a,b"])
def test_no_sign_has_a_meaning(text: str) -> None:
    output = shlex.split(would_run("new-job", f"TYPE={text}"))[-1]
    assert output == text
    assert not (ROOT / "owned").exists()


def test_the_documented_forms_work() -> None:
    assert would_run("deploy", "ENV=analytics").endswith("tools.deploy 'analytics'")
    assert would_run("deploy", "ENV=analytics scoring").endswith("'analytics' 'scoring'")
    assert would_run("deploy").endswith("tools.deploy")
    job = would_run("new-job", "TYPE=analytics.count-events", "CRON=0 4 * * *")
    assert job.endswith("tools.new_job 'analytics.count-events' --cron '0 4 * * *'")
