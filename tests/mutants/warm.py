"""A process that has the packages loaded and forks one pytest per request.

Run as a script with the tree as its working directory. A line of its input is a request:
`{"arguments": [...], "only": [...] or null, "without": [...], "output": path, "limit_s": seconds}`;
a line of its output is pytest's exit code, or `null` after the time limit.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

# What does not depend on the tree. The tree's own modules are loaded after the fork.
PRELOADED = ("hypothesis.strategies", "pydantic", "pg8000.native", "httpx", "typer", "rich.console")
POLL_S = 0.02


class Selection:
    """Runs the tests of a list, in its order, and none of those to leave out."""

    def __init__(self, only: Sequence[str] | None, without: Sequence[str]) -> None:
        self.order = None if only is None else {test: n for n, test in enumerate(only)}
        self.without = frozenset(without)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        kept = [item for item in items if item.nodeid not in self.without]
        if (order := self.order) is not None:
            kept = [item for item in kept if item.nodeid in order]
            kept.sort(key=lambda item: order[item.nodeid])
        items[:] = kept


def serve() -> None:
    """Answer requests until the input ends."""
    for name in PRELOADED:
        with suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), flush=True)


def _run(request: dict[str, Any]) -> int | None:
    child = os.fork()
    if child == 0:
        _pytest(request)
    deadline = time.monotonic() + request["limit_s"]
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL_S)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _pytest(request: dict[str, Any]) -> None:
    """Run pytest in a process group of its own and end without a return."""
    code = 3
    try:
        os.setsid()
        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        selection = Selection(request["only"], request["without"])
        code = int(pytest.main(request["arguments"], plugins=[selection]))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
