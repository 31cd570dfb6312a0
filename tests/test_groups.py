"""Side by side, the tests of a group run in one process."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.groups import GROUPS, group_of
from tests.test_tidy import ROOT


def test_a_group_stays_in_one_process() -> None:
    """Two processes and three tests, each of a few milliseconds."""
    words = ["-n", "2", "--dist", "loadgroup", "-v", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "tests/e2e/test_wire.py"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    processes = re.findall(r"^\[(gw\d)\].* PASSED", done.stdout, re.MULTILINE)
    assert len(processes) == 3, done.stdout
    assert len(set(processes)) == 1


def test_a_test_that_shares_nothing_is_a_group_of_its_own() -> None:
    assert group_of("tests/shared/test_retry.py::test_a[1]") == (
        "tests/shared/test_retry.py::test_a[1]"
    )
    assert group_of("tests/e2e/test_way.py::test_a") == "tests/e2e/"
    assert group_of("tests/e2e/test_dev_ports.py::test_a") == "tests/e2e/test_dev_ports.py"


def test_every_group_is_there() -> None:
    assert [group for group in GROUPS if not (ROOT / group).exists()] == []
