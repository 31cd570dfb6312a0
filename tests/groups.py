"""Tests that share what is slow to start run in one process, one after the other.

The groups are not marks of the tests: xdist 3.8 adds a mark's group to the id of a test, and since
pytest 9.2 an id cannot be changed, so that marks are ignored without an error (pytest-xdist #1386).
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# Each of these has a running system, a filled database or read files that its tests share.
GROUPS = (
    "tests/e2e/test_deliveries.py",
    "tests/e2e/test_dev_ports.py",
    "tests/e2e/test_hooks.py",
    "tests/e2e/",
    "tests/mauntic/cli/test_live.py",
    "tests/mauntic/demo/loopback/",
    "tests/mauntic/demo/test_importer.py",
    "tests/mauntic/local/runtime/",
    "tests/mauntic/test_adopt.py",
    "tests/mauntic/test_adopt_deliveries.py",
    "tests/workers/analytics/test_estimates.py",
)


def group_of(test: str) -> str:
    """Return the group of a test; a test that shares nothing is a group of its own."""
    return next((group for group in GROUPS if test.startswith(group)), test)


class InGroups(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a whole group to a process, the largest first, then test after test."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
