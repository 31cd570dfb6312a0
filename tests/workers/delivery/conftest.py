"""The JavaScript oracles, in one process of Node; and a stage with a platform and a worker."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mauntic.project.programs import ROOT
from tests.workers.delivery.stage import Stage


class Oracle:
    """Answers of `oracle.mjs`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, name: str, **given: Any) -> Any:
        """Return the result; ValueError if the oracle refuses the input."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"name": name, **given}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["result"]


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    with subprocess.Popen(
        [ROOT / ".venv" / "bin" / "node", Path(__file__).with_name("oracle.mjs")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Oracle(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def stage(database: str) -> Iterator[Stage]:
    found = Stage(database)
    with closing(found):
        yield found
